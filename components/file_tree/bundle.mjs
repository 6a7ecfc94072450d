export { TreeModel, basename, isEntry, isWithin, join, parent, topmost } from "./model.mjs";
export { iconOf } from "./kinds.mjs";
export { openMenu } from "../popups.mjs";
export { DRAG_TYPE, chosenFiles, filesOf, namesOf, sendFiles } from "./uploads.mjs";
export { Remote } from "./remote.mjs";
export { NOTHING, all, extended, flipped, only, these } from "./selection.mjs";
export { TypeAhead, keyAction } from "./keys.mjs";
export { menuItems } from "./menu.mjs";
export { sureToDelete, sureToReplace } from "./questions.mjs";
