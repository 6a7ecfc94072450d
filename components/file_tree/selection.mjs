// What is selected in the tree, as a value: `current` has the keyboard, `picked` is what an action is about, and `anchor`
// is where a selection of several began. Paths; null for none. Rows are those of model.mjs.
import { isEntry } from "./model.mjs";

export const NOTHING = { current: null, picked: new Set(), anchor: null };

/** One path alone, or nothing. */
export function only(path) {
  return path === null ? NOTHING : { current: path, picked: new Set([path]), anchor: path };
}

/** These together; the last is current. */
export function these(paths) {
  return { current: paths.at(-1), picked: new Set(paths), anchor: paths.at(-1) };
}

/** From where the selection began to `path`. */
export function extended({ anchor }, path, rows) {
  const at = (wanted) => rows.findIndex((row) => row.path === wanted);
  const [from, to] = [Math.max(at(anchor), 0), at(path)].sort((a, b) => a - b);
  const between = rows.slice(from, to + 1).filter(isEntry);
  return { anchor, current: path, picked: new Set(between.map((row) => row.path)) };
}

/** With `path`, or without it if it was in. */
export function flipped({ picked }, path) {
  const next = new Set(picked);
  if (!next.delete(path)) next.add(path);
  return { anchor: path, current: path, picked: next };
}

/** Every visible file and folder; what has the keyboard keeps it. */
export function all(selection, rows) {
  return { ...selection, picked: new Set(rows.filter(isEntry).map((row) => row.path)) };
}
