// What the terminal element is made of: xterm.js with its add-ons, and the line to the REPL.
export { Terminal } from "@xterm/xterm";
export { FitAddon } from "@xterm/addon-fit";
export { SearchAddon } from "@xterm/addon-search";
export { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
export { WebLinksAddon } from "@xterm/addon-web-links";
export { Line } from "./line.mjs";
import xtermCss from "@xterm/xterm/css/xterm.css";
import ownCss from "./terminal.css";

/** Put the style sheets into the page, once. */
export function dressPage() {
  if (document.getElementById("devex-terminal-css")) return;
  const style = document.createElement("style");
  style.id = "devex-terminal-css";
  style.textContent = xtermCss + ownCss;
  document.head.append(style);
}

/** The WebGL renderer, loaded when it is wanted; resolves to null where the browser has none. */
export async function webgl() {
  try {
    if (!document.createElement("canvas").getContext("webgl2")) return null;
    return new (await import("@xterm/addon-webgl")).WebglAddon();
  } catch {
    return null;
  }
}
