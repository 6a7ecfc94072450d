// Places in files as programs print them, found in a line of text. Pure.

const MOST = 8; // in a line
const PATH = String.raw`[^\s"'\x60()\[\]{}<>:,;=|*?]{1,512}`;
const AFTER = String.raw`(?<![^\s"'\x60()\[\]{}<>,;=|])`; // not in the middle of something, such as a port of an address
const FORMS = [
  /File "(?<path>[^"]{1,512})", line (?<line>\d{1,7})/g, // Python
  new RegExp(`${AFTER}(?:file://)?(?<path>${PATH})\\((?<line>\\d{1,7}),(?<column>\\d{1,5})\\)`, "g"), // tsc
  new RegExp(`${AFTER}(?:file://)?(?<path>${PATH}):(?<line>\\d{1,7})(?!\\d)(?::(?<column>\\d{1,5})(?!\\w))?`, "g"), // compilers, node, grep -n
];
const ADDRESS = /https?:\/\/[^\s"'\x60<>]+[^\s"'\x60<>.,:;!?)\]}]/g;

/** [{at, length, path, line, column}] from left to right; `at` and `length` in the text, `column` null where none is named. */
export function referencesIn(text) {
  const found = [];
  for (const form of FORMS) {
    for (const match of text.matchAll(form)) {
      const { path, line, column } = match.groups;
      const [at, length] = [match.index, match[0].length];
      const isTaken = found.some((one) => at < one.at + one.length && one.at < at + length);
      if (/[^\d.]/.test(path) && Number(line) > 0 && !isTaken) found.push({ at, length, path, line: Number(line), column: column ? Number(column) : null });
      if (found.length === MOST) break;
    }
  }
  return found.sort((a, b) => a.at - b.at);
}

/** Web addresses in a text. */
export const addressesIn = (text) => text.match(ADDRESS) ?? [];

/** The folder that a shell tells by OSC 7, "" when it is none. */
export function folderOf(told) {
  const path = /^file:\/\/[^/]*(\/.*)$/.exec(told)?.[1] ?? "";
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
