// What the editor element needs from npm, and its own modules.
export { default as css } from "./editor.css";
export { Editing } from "./editing.mjs";
export { textOf } from "./reading.mjs";
export { Documents } from "./documents.mjs";
export { keepTyped, recall, remember, takeTyped } from "./memory.mjs";
