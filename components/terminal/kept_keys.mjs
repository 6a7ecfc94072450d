// Keys that may not have arrived, over a reload of this tab: a page loads itself anew when another server answers.
import { USER } from "../repl/lines.mjs";

const MAX_AGE_MS = 60_000; // a page loads in seconds; later nobody knows any more what those keys would do

const keyOf = (replId, terminalId) => `devex:keys:${USER}:/repls/${replId}/terminals/${terminalId}`; // nobody else types them

/** `kept`: see typed.mjs. */
export function keepKeys(replId, terminalId, kept) {
  if (!kept) return;
  try {
    sessionStorage.setItem(keyOf(replId, terminalId), JSON.stringify({ atMs: Date.now(), kept }));
  } catch {
    // forbidden, as in an embedded frame: they are lost
  }
}

/** Take what was kept for this terminal, once: a lost key is seen, a command given twice does harm. */
export function takeKeys(replId, terminalId) {
  const key = keyOf(replId, terminalId);
  try {
    const { atMs, kept } = JSON.parse(sessionStorage.getItem(key));
    sessionStorage.removeItem(key);
    return Date.now() - atMs > MAX_AGE_MS ? null : kept;
  } catch {
    return null; // nothing there, or forbidden
  }
}
