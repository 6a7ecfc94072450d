export { TreeModel, basename, isEntry, isWithin, join, parent, topmost } from "./model.mjs";
export { iconOf } from "./kinds.mjs";
export { confirmed, openMenu } from "./popups.mjs";
export { chosenFiles, filesOf } from "./uploads.mjs";
export { Remote } from "./remote.mjs";
export { NOTHING, all, extended, flipped, only, these } from "./selection.mjs";
export { keyAction } from "./keys.mjs";
