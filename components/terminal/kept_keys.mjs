// Keys that may not have arrived, over a reload of this tab: a page loads itself anew when another server answers.
import { USER } from "../repl/lines.mjs";

const MAX_AGE_MS = 60_000; // a page loads in seconds; later nobody knows any more what those keys would do
const KEYS = "devex:keys:";
const TAKEN = "devex:taken:"; // for all tabs to see: of one that was copied each holds them

const keyOf = (replId, terminalId) => `${KEYS}${USER}:/repls/${replId}/terminals/${terminalId}`; // nobody else types them

/** `kept`: the keys, as an Attachment gives them; null for none. */
export function keepKeys(replId, terminalId, kept) {
  if (!kept) return;
  try {
    sessionStorage.setItem(keyOf(replId, terminalId), JSON.stringify({ atMs: Date.now(), kept }));
  } catch {
    // forbidden, as in an embedded frame: they are lost
  }
}

/** Take what was kept for this terminal, or null, once: a lost key is seen, a command given twice does harm. */
export function takeKeys(replId, terminalId) {
  try {
    forgetOld();
    const key = keyOf(replId, terminalId);
    const { atMs, kept } = JSON.parse(sessionStorage.getItem(key));
    sessionStorage.removeItem(key);
    const taken = `${TAKEN}${atMs}:${key}`;
    if (localStorage.getItem(taken)) return null;
    localStorage.setItem(taken, Date.now());
    return isReload() ? kept : { unsent: kept.unsent };
  } catch {
    return null; // nothing there, or forbidden
  }
}

/** Of another time, or another user. */
function forgetOld() {
  for (const key of Object.keys(sessionStorage).filter((key) => key.startsWith(KEYS))) {
    const isMine = key.startsWith(`${KEYS}${USER}:`);
    if (!isMine || Date.now() - JSON.parse(sessionStorage.getItem(key)).atMs > MAX_AGE_MS) sessionStorage.removeItem(key);
  }
  for (const key of Object.keys(localStorage).filter((key) => key.startsWith(TAKEN))) {
    if (Date.now() - localStorage.getItem(key) > MAX_AGE_MS) localStorage.removeItem(key);
  }
}

/** Otherwise it may be a copy of a tab, whose pages would be one to their terminal: it listens to one of them. */
const isReload = () => performance.getEntriesByType("navigation")[0]?.type === "reload";
