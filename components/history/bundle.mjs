// What the history of a REPL is made of, and its style. What compares two texts comes when it is needed.
import css from "./history.css";
export { fork, rename, restore, save } from "./actions.mjs";
export { Compared } from "./compared.mjs";
export { Files } from "./files.mjs";
export { Notes } from "./notes.mjs";
export { Timeline } from "./timeline.mjs";
export { Versions } from "./versions.mjs";
export { clock, counted, exactly, lostWords, percentOf, reasonOf, receiptOf, restoringWords, savingWords, shortly, sizeWords } from "./words.mjs";

/** The window's event that opens the history of a file, its path in `detail`. */
export const SHOW_HISTORY = "devex:history";

document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
