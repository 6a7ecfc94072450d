// What is drawn where output is missing: the mark, and what follows from where it can be understood.

// Out of whatever sequence the cut went through, of the alternate screen, and of all modes; then to a line of its own.
const AFRESH = "\x18\x1b[?47l\x1b[!p\x1b[?1000l\x1b[?1006l\x1b[0m\x1b[999;1H\r\n";
const TAIL = /^[0-9;:?]*[0-9;][@A-Za-z`~]/; // of a control sequence: its numbers and its last letter
const TEXT_END = /^[^\x1b\n]*?(\x07|\x1b\\)/; // of a title or another text for the terminal: a bell, or ST
const LOOKED_AT = 1024; // bytes: titles and links are shorter, and the end of a longer one is shown

/** As `missing_words` in Python has it. */
export const missingWords = (count) => `${count.toLocaleString("en")} bytes of output are missing here`;

/** What xterm.js is given where `count` bytes are missing, behind some that are shown or at the very beginning. */
export const markOf = (count, isBehindSome) => `${isBehindSome ? AFRESH : ""}\x1b[7m … ${missingWords(count)} … \x1b[0m\r\n`;

/** `bytes` without the end of a character or of a control sequence that began in what is missing. */
export function understood(bytes) {
  let from = 0;
  while (from < 3 && (bytes[from] & 0xc0) === 0x80) from += 1;
  const start = String.fromCharCode(...bytes.subarray(from, from + LOOKED_AT));
  return bytes.subarray(from + (TEXT_END.exec(start) ?? TAIL.exec(start) ?? [""])[0].length);
}
