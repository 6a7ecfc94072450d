// What this browser keeps for the next load of the page: which files were open, and typing that did not reach the server.
import { USER } from "../repl/lines.mjs";
import { bytesOf } from "./splices.mjs";

const MAX_CHARS = 2_000_000; // browsers give an origin about 5 million
const MAX_AGE_MS = 7 * 24 * 3600 * 1000; // later nobody remembers what that typing was about

const tabsKey = (replId) => `devex:tabs:/repls/${replId}`;
const typedKey = (replId) => `devex:typed:${USER}:/repls/${replId}:`; // nobody else sends it
const textOf = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** {paths, active}; storage may be forbidden, as in an embedded frame. */
export function recall(replId) {
  try {
    const found = JSON.parse(localStorage.getItem(tabsKey(replId)));
    return Array.isArray(found?.paths) ? found : { paths: [], active: "" };
  } catch {
    return { paths: [], active: "" };
  }
}

export function remember(replId, paths, active) {
  try {
    localStorage.setItem(tabsKey(replId), JSON.stringify({ paths, active }));
  } catch {
    // forbidden or full: the next load starts with the first file
  }
}

/** Keep undelivered changes, [{path, changes: [{base, splices}]}]; returns whether they are kept. `probe` only tries. */
export function keepTyped(replId, undelivered, { probe = false } = {}) {
  if (!undelivered.length) return true;
  const files = undelivered.map(({ path, changes }) => ({
    path,
    changes: changes.map((change) => ({
      base: textOf(change.base),
      splices: change.splices.map(([start, cut, insert]) => [start, cut, textOf(insert)]),
    })),
  }));
  const line = JSON.stringify({ atMs: Date.now(), files });
  const key = typedKey(replId) + Math.random().toString(36).slice(2); // two tabs must not overwrite each other
  try {
    if (line.length > MAX_CHARS) return false;
    localStorage.setItem(key, line);
    if (probe) localStorage.removeItem(key);
    return true;
  } catch {
    return false;
  }
}

/** Take what was kept: path -> changes. Giving the same change twice is harmless, so tabs need not agree who takes it. */
export function takeTyped(replId) {
  const found = new Map();
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(typedKey(replId)));
    for (const key of keys) {
      const { atMs, files } = JSON.parse(localStorage.getItem(key));
      localStorage.removeItem(key);
      if (Date.now() - atMs > MAX_AGE_MS) continue;
      for (const { path, changes } of files) {
        const read = changes.map((change) => ({
          base: bytesOf(change.base),
          splices: change.splices.map(([start, cut, insert]) => [start, cut, bytesOf(insert)]),
        }));
        found.set(path, [...(found.get(path) ?? []), ...read]);
      }
    }
  } catch {
    // forbidden, or not ours: nothing to bring back
  }
  return found;
}
