// What the editor and the reader are made of: CodeMirror and Yjs behind modules of our own, and their style.
import css from "./editor.css";
export { TextView, textOf } from "./text_view.mjs";
export { Documents } from "./documents.mjs";
export { handOver, onHandedOver, typedOf } from "./handover.mjs";
export { bytesOf } from "./splices.mjs";
export { keepTyped, recall, remember, takeTyped } from "./memory.mjs";

// Before anything is laid out: a style sheet that comes later has the whole page styled again.
document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
