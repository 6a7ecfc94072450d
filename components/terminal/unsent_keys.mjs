// Keys that no terminal has got yet, over a reload of this tab: a page loads itself anew when another server answers.
import { USER } from "../repl/lines.mjs";

const MAX_AGE_MS = 60_000; // a page loads in seconds; later nobody knows any more what those keys would do

const keyOf = (replId, terminalId) => `devex:keys:${USER}:/repls/${replId}/terminals/${terminalId}`; // nobody else types them

export function keepKeys(replId, terminalId, bytes) {
  if (!bytes.length) return;
  try {
    sessionStorage.setItem(keyOf(replId, terminalId), JSON.stringify({ atMs: Date.now(), bytes: [...bytes] }));
  } catch {
    // forbidden, as in an embedded frame: they are lost
  }
}

/** Take what was kept for this terminal, once: a lost key is seen, a command given twice does harm. */
export function takeKeys(replId, terminalId) {
  const key = keyOf(replId, terminalId);
  try {
    const { atMs, bytes } = JSON.parse(sessionStorage.getItem(key));
    sessionStorage.removeItem(key);
    return Date.now() - atMs > MAX_AGE_MS ? new Uint8Array() : Uint8Array.from(bytes);
  } catch {
    return new Uint8Array(); // nothing there, or forbidden
  }
}
