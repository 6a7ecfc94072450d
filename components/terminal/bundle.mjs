// What the terminal element is made of: xterm.js with its add-ons, and its attachment to the REPL.
export { Terminal } from "@xterm/xterm";
export { Fitting } from "./fitting.mjs";
export { SearchAddon } from "@xterm/addon-search";
export { WebLinksAddon } from "@xterm/addon-web-links";
export { useGraphemes } from "./graphemes.mjs";
export { AS_BEFORE, makeSafe, openLink, plainTitle, safeOptions } from "./safe.mjs";
export { outputDecoder } from "./decoding.mjs";
export { Attachment } from "./attachment.mjs";
export { keepKeys, takeKeys } from "./kept.mjs";
export { writeBefore } from "./before.mjs";
export { download } from "./downloads.mjs";
export { cleaned, clipboardText, copyText, sureToPaste } from "./clipboard.mjs";
export { currentSettings, onSettings, set, stepFont } from "./settings.mjs";
export { openSettings } from "./settings_box.mjs";
export { isDroppable, wordsOfDrop } from "./drops.mjs";
export { BY_TOUCH, TouchKeys } from "./touch_keys.mjs";
export { rename } from "./renaming.mjs";
export { wordsOf } from "../repl/http.mjs";
export { FileLinks } from "./file_links.mjs";
export { fontFamily, foundMarks, theme } from "./look.mjs";
export { isFront, join } from "./front.mjs";
export { ownKey } from "./keys.mjs";
export { menuItems } from "./menu.mjs";
export { openMenu } from "../file_tree/popups.mjs";
export { markOf, understood } from "./gap.mjs";
export { SearchBox } from "./search.mjs";
export { ALONE, People } from "./people.mjs";
export { Sized, roomIn } from "./sized.mjs";
import xtermCss from "@xterm/xterm/css/xterm.css";
import ownCss from "./terminal.css";
import peopleCss from "./people.css";

// Before anything is laid out: a style sheet that comes later has the whole page styled again.
document.head.append(Object.assign(document.createElement("style"), { textContent: xtermCss + ownCss + peopleCss }));

const BY_SOFTWARE = /swiftshader|llvmpipe|software/i;

/** The WebGL renderer, loaded when it is wanted; null where there is no graphics card for it: xterm's own is faster then. */
export async function webgl() {
  try {
    const gl = document.createElement("canvas").getContext("webgl2");
    const renderer = gl?.getParameter(gl.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    if (!renderer || BY_SOFTWARE.test(renderer)) return null;
    return new (await import("@xterm/addon-webgl")).WebglAddon();
  } catch {
    return null;
  }
}
