// File and line in what a terminal shows, as links to the editor: only what is there, and in the workspace.
import { callJson, encodePath, replUrl } from "../repl/http.mjs";
import { addressesIn, folderOf, referencesIn } from "./references.mjs";

const KNOWN_MS = 5_000; // a file may come, and go
const MOST_KNOWN = 200;
const MOST_ROWS = 32; // of a line that is wrapped, above and below
const MOST_LISTED = 9; // by keyboard
const LOOKED_AT = 200; // rows above the last one in sight

/** The text of the line to which row `y` of the buffer belongs, and the cell of each of its characters: [{x, y, width}]. */
function wholeLine(buffer, y) {
  let from = y;
  while (from > 0 && y - from < MOST_ROWS && buffer.getLine(from)?.isWrapped) from -= 1;
  let text = "";
  const cells = [];
  const cell = buffer.getNullCell();
  for (let row = from; row - y < MOST_ROWS; row += 1) {
    const line = buffer.getLine(row);
    if (!line || (row > from && !line.isWrapped)) break;
    const goesOn = buffer.getLine(row + 1)?.isWrapped;
    for (let x = 0; x < line.length; x += 1) {
      line.getCell(x, cell);
      const [characters, width] = [cell.getChars(), cell.getWidth()];
      if (!width || (!characters && goesOn && x === line.length - 1)) continue; // a wide one had no room there
      for (const unit of (characters || " ").split("")) {
        text += unit;
        cells.push({ x, y: row, width });
      }
    }
  }
  return { text, cells, from };
}

export class FileLinks {
  #known = new Map(); // path asked for -> {atMs, found: Promise of a path or null}
  #folder = "";

  /** `open({path, line, column})` is called with a path of the workspace. */
  constructor(term, replId, open) {
    this.term = term;
    this.replId = replId;
    this.open = open;
    term.parser.registerOscHandler(7, (told) => {
      this.#folder = folderOf(told);
      this.#known.clear();
      return true;
    });
    term.registerLinkProvider({ provideLinks: (y, give) => this.#linksAt(y - 1).then((links) => give(links.length ? links : undefined)) });
  }

  /** Where the shell is, as far as it tells; "" otherwise. */
  get folder() {
    return this.#folder;
  }

  async #linksAt(y) {
    const { text, cells } = wholeLine(this.term.buffer.active, y);
    return (await this.#thatExist(referencesIn(text))).map((one) => {
      const [start, end] = [cells[one.at], cells[one.at + one.length - 1]];
      return {
        range: { start: { x: start.x + 1, y: start.y + 1 }, end: { x: end.x + end.width, y: end.y + 1 } },
        text: text.slice(one.at, one.at + one.length),
        activate: (event) => event.button === 0 && !this.term.hasSelection() && this.open(one),
        hover: () => (this.term.element.title = `Open ${one.path} in the editor`),
        leave: () => (this.term.element.title = ""),
      };
    });
  }

  /** What is named near the end of what is in sight, the newest first: [{path, line, column} or {address}]. */
  async listed() {
    const buffer = this.term.buffer.active;
    const last = buffer.viewportY + this.term.rows - 1;
    const found = new Map();
    for (let y = last; y >= Math.max(last - LOOKED_AT, 0) && found.size < MOST_LISTED; y -= 1) {
      if (!buffer.getLine(y)) continue;
      const { text, from } = wholeLine(buffer, y);
      for (const one of await this.#thatExist(referencesIn(text))) found.set(`${one.path}:${one.line}`, one);
      for (const address of addressesIn(text)) found.set(address, { address });
      y = from;
    }
    return [...found.values()].slice(0, MOST_LISTED);
  }

  /** Those whose path means a file, with the file's own path. */
  async #thatExist(references) {
    if (!references.length) return [];
    this.#ask(references.map(({ path }) => path));
    const found = await Promise.all(references.map(({ path }) => this.#known.get(path)?.found));
    return references.map((one, index) => ({ ...one, path: found[index] })).filter(({ path }) => path?.isWellFormed());
  }

  #ask(paths) {
    const oldest = Date.now() - KNOWN_MS;
    const fresh = [...new Set(paths)].filter((path) => !(this.#known.get(path)?.atMs > oldest));
    if (!fresh.length) return;
    if (this.#known.size > MOST_KNOWN) this.#known.clear();
    const asked = [`cwd=${encodePath(this.#folder)}`, ...fresh.map((path) => `path=${encodePath(path)}`)].join("&");
    const answer = callJson(`${replUrl(this.replId)}/places?${asked}`).catch(() => ({ found: [] })); // away: no links for now
    fresh.forEach((path, index) => this.#known.set(path, { atMs: Date.now(), found: answer.then(({ found }) => found[index] ?? null) }));
  }
}
