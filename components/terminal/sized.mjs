// A terminal whose size somebody else's window set: larger than this one, it scrolls with the cursor; smaller, its end is seen.

const SCROLL_BAR_PX = 14; // of xterm.js, right of the last column
const CORNER_PX = { width: 240, height: 40 }; // where it is said who else is there
const SETTLED_MS = 300; // the size that was asked for comes a round trip later: until then nothing is marked

/** Columns and rows that the element has room for, whatever scroll bars it has just now; undefined while it is hidden. */
export function roomIn(screen, fitting) {
  if (document.hidden || !screen?.offsetWidth || !screen.offsetHeight) return undefined;
  screen.classList.add("dx-terminal-measured");
  const size = fitting.proposeDimensions();
  screen.classList.remove("dx-terminal-measured");
  return size?.cols > 1 && size.rows > 0 ? size : undefined;
}

export class Sized {
  #follows = true; // the cursor, until the person scrolls away from it
  #at = { left: 0, top: 0 }; // where it has scrolled to by itself

  /** `screen`: the element that xterm.js was opened in. */
  constructor(term, screen) {
    this.term = term;
    this.screen = screen;
    this.hasCompany = false; // which is shown in the corner
    this.moved = term.onCursorMove(() => this.#cursorMoved());
    screen.addEventListener("scroll", this.#scrolled);
  }

  dispose() {
    clearTimeout(this.settling);
    cancelAnimationFrame(this.looking);
    this.moved.dispose();
    this.screen.removeEventListener("scroll", this.#scrolled);
  }

  /** The window has `room`, undefined: it is hidden. */
  fit(room) {
    clearTimeout(this.settling);
    if (!room) return;
    const { cols, rows } = this.term;
    const isSame = cols === room.cols && rows === room.rows;
    if (isSame) this.#mark({ cols, rows });
    else this.settling = setTimeout(() => this.#mark(room), SETTLED_MS);
  }

  #mark(room) {
    const { cols, rows, element } = this.term;
    const isLarger = cols > room.cols || rows > room.rows;
    this.screen.classList.toggle("dx-terminal-larger", isLarger);
    this.screen.classList.toggle("dx-terminal-smaller", cols < room.cols || rows < room.rows);
    const { offsetWidth, offsetHeight } = this.#grid;
    element.style.width = cols > room.cols ? `${offsetWidth + SCROLL_BAR_PX}px` : "";
    element.style.height = rows > room.rows ? `${offsetHeight}px` : "";
    if (isLarger) this.#follow();
  }

  get #grid() {
    return this.term.element.querySelector(".xterm-screen");
  }

  /** Where the cursor is in the element that scrolls, in px. */
  get #cursor() {
    const { cols, rows, buffer } = this.term;
    const { cursorX, cursorY } = buffer.active;
    const { offsetWidth, offsetHeight } = this.#grid;
    const [width, height] = [offsetWidth / cols, offsetHeight / rows];
    return { left: cursorX * width, top: cursorY * height, right: (cursorX + 1) * width, bottom: (cursorY + 1) * height };
  }

  #scrolled = () => {
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.screen;
    if (Math.abs(scrollLeft - this.#at.left) <= 1 && Math.abs(scrollTop - this.#at.top) <= 1) return; // not the person
    const { left, top, right, bottom } = this.#cursor;
    this.#follows = left >= scrollLeft && top >= scrollTop && right <= scrollLeft + clientWidth && bottom <= scrollTop + clientHeight;
  };

  /** Once a frame, and for who is alone at a terminal of their size not at all: looking has the page laid out. */
  #cursorMoved() {
    if (!this.hasCompany && !this.screen.classList.contains("dx-terminal-larger")) return;
    this.looking ??= requestAnimationFrame(() => {
      this.looking = undefined;
      this.#follow();
      this.#clear();
    });
  }

  /** Say when the cursor is in the upper right corner: what lies over it there is faded. */
  #clear() {
    const { screen } = this;
    const { right, top } = this.#cursor;
    const isThere = top - screen.scrollTop < CORNER_PX.height && right - screen.scrollLeft > screen.clientWidth - CORNER_PX.width;
    screen.classList.toggle("dx-terminal-corner", isThere);
  }

  #follow() {
    const { screen } = this;
    if (!this.#follows || !screen.classList.contains("dx-terminal-larger")) return;
    const { left, top, right, bottom } = this.#cursor;
    const within = (at, from, to, length) => Math.min(from, Math.max(at, to - length));
    screen.scrollTo(within(screen.scrollLeft, left, right, screen.clientWidth), within(screen.scrollTop, top, bottom, screen.clientHeight));
    this.#at = { left: screen.scrollLeft, top: screen.scrollTop };
  }
}
