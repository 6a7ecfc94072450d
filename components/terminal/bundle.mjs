// What the elements of a terminal are made of: its screen, and its attachment to the REPL.
export { openScreen } from "./screen.mjs";
export { useWebgl } from "./webgl.mjs";
export { AS_BEFORE } from "./safe.mjs";
export { plainTitle } from "./window_title.mjs";
export { outputDecoder } from "./decoding.mjs";
export { Attachment } from "./attachment.mjs";
export { keepKeys, takeKeys } from "./kept_keys.mjs";
export { writeBefore } from "./before.mjs";
export { downloadRecord } from "./downloads.mjs";
export { cleanedPaste, clipboardText, copyText, sureToPaste } from "./clipboard.mjs";
export { changeSettings, currentSettings, stepFont } from "./settings.mjs";
export { openSettings } from "./settings_box.mjs";
export { isDroppable, wordsOfDrop } from "./drops.mjs";
export { BY_TOUCH, TouchKeys } from "./touch_keys.mjs";
export { renameTerminal } from "./renaming.mjs";
export { FileLinks } from "./file_links.mjs";
export { foundMarks } from "./look.mjs";
export { isFront, joinTerminals } from "./front.mjs";
export { ownKey } from "./keys.mjs";
export { menuItems } from "./menu.mjs";
export { openMenu } from "../popups.mjs";
export { markOf, missingWords, understood } from "./gap.mjs";
export { SearchBox } from "./search.mjs";
export { ALONE, People } from "./people.mjs";
export { Sized, roomIn } from "./sized.mjs";
import xtermCss from "@xterm/xterm/css/xterm.css";
import ownCss from "./terminal.css";
import peopleCss from "./people.css";

// Before anything is laid out: a style sheet that comes later has the whole page styled again.
document.head.append(Object.assign(document.createElement("style"), { textContent: xtermCss + ownCss + peopleCss }));
