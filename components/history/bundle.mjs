// The way to the versions of a REPL, what is said of them, and their style. What compares two texts comes when it is needed.
import css from "./history.css";
export { asked, confirmed } from "../file_tree/popups.mjs";
export { SIDE_BY_SIDE_PX, readText } from "./contents.mjs";
export { Versions } from "./versions.mjs";
export { ago, byDay, changeWords, clock, counted, doneWords, exactly, planWords, reasonWords, receiptOf, sizeWords } from "./words.mjs";

/** The window's event that opens the history of a file, its path in `detail`. */
export const SHOW_HISTORY = "devex:history";

/** Shows two texts; see Comparison. */
export async function compared(...what) {
  const { Comparison } = await import("./comparison.mjs");
  return new Comparison(...what);
}

document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
