// What a key means in the tree, as a decision over the rows: pure, so that every case can be read here.
import { parent } from "./model.mjs";

/** {go: index, extends: with the selection?} | {open: index} | {toggle: [index, isOpen]} | {act: name} | null for a key that is not the tree's. */
export function keyAction(event, rows, at, pageRows) {
  const row = rows[at];
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") return { act: "all" };
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const go = (index) => ({ go: index, extends: event.shiftKey });
  switch (event.key) {
    case "ArrowDown": return go(Math.min(at + 1, rows.length - 1));
    case "ArrowUp": return go(Math.max(at - 1, 0));
    case "PageDown": return go(Math.min(at + pageRows, rows.length - 1));
    case "PageUp": return go(Math.max(at - pageRows, 0));
    case "Home": return go(0);
    case "End": return go(rows.length - 1);
    case "Escape": return { act: "one" };
    case "F10": return event.shiftKey ? { act: "menu" } : null;
    case "ContextMenu": return { act: "menu" };
  }
  if (!row) return null;
  switch (event.key) {
    case "ArrowRight":
      if (row.kind !== "d") return {};
      return row.isOpen ? { go: Math.min(at + 1, rows.length - 1) } : { toggle: [at, true] };
    case "ArrowLeft":
      if (row.isOpen) return { toggle: [at, false] };
      return { go: Math.max(rows.findIndex((other) => other.path === parent(row.path)), 0) };
    case "Enter": case " ": return row.kind === "d" ? { toggle: [at, !row.isOpen] } : { open: at };
    case "F2": return { act: "rename" };
    case "Delete": case "Backspace": return { act: "remove" };
  }
  return null;
}

const TYPE_AHEAD_MS = 700;

/** Letters typed one soon after another look for a name that begins with them. */
export class TypeAhead {
  #typed = "";
  #typedAt = -Infinity;

  /** The row that a key leads to from row `at`; undefined when there is none, or it is no letter. */
  find(event, rows, at) {
    if (event.key.length !== 1 || event.ctrlKey || event.metaKey || event.altKey) return undefined;
    const now = performance.now();
    this.#typed = (now - this.#typedAt < TYPE_AHEAD_MS ? this.#typed : "") + event.key.toLowerCase();
    this.#typedAt = now;
    const from = Math.max(at, 0) + (this.#typed.length === 1 ? 1 : 0);
    return [...rows.slice(from), ...rows.slice(0, from)].find((row) => row.name.toLowerCase().startsWith(this.#typed));
  }
}
