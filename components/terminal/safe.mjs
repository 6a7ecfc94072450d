// What holds for every screen that shows what a program wrote: nothing in it reaches the clipboard, stops the page, or
// opens anything but pages.
import { boundCounts } from "./bounds.mjs";

export function openLink(event, address) {
  if (event.button === 0 && /^https?:\/\//i.test(address)) window.open(address, "_blank", "noopener,noreferrer");
}

/** Of xterm's options. */
export const safeOptions = () => ({
  allowProposedApi: true, // the grapheme add-on needs it
  minimumContrastRatio: 4.5,
  linkHandler: { activate: openLink }, // OSC 8: http and https only
});

/** Once it is open. */
export function makeSafe(term) {
  boundCounts(term);
  term.parser.registerOscHandler(52, () => true); // a program may not reach the clipboard
}
