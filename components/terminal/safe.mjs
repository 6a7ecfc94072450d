// What holds for every screen that shows what a program wrote: nothing in it reaches the clipboard, stops the page, or
// opens anything but pages.
import { Terminal } from "@xterm/xterm";
import { boundCounts } from "./bounds.mjs";
import { useGraphemes } from "./graphemes.mjs";

export function openLink(event, address) {
  if (event.button === 0 && /^https?:\/\//i.test(address)) window.open(address, "_blank", "noopener,noreferrer");
}

/** Of xterm.js; `options` are more of its own. */
export function safeTerminal(options) {
  const say = (words) => (term.element.title = words);
  const linkHandler = {
    activate: openLink, // OSC 8: http and https only
    hover: (_, address) => say(new URL(address).href), // its text may name another place than it leads to
    leave: () => say(""),
  };
  const term = new Terminal({
    allowProposedApi: true, // the grapheme add-on needs it
    minimumContrastRatio: 4.5,
    linkHandler,
    ...options,
  });
  useGraphemes(term);
  boundCounts(term);
  term.parser.registerOscHandler(52, () => true); // a program may not reach the clipboard
  return term;
}

/** What ends all that a program may have left on: looks, regions, keys' modes, the mouse, the alternate screen. */
export const AS_BEFORE = "\x1b[!p\x1b[?1000;1002;1003;1006;1047l";
