// The screen of a terminal, whether it is live or recorded: xterm.js in the page's colours and as the user has set it.
import { SearchAddon } from "@xterm/addon-search";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Fitting } from "./fitting.mjs";
import { fontFamily, theme } from "./look.mjs";
import { openLink, safeTerminal } from "./safe.mjs";
import { currentSettings, onSettings } from "./settings.mjs";

const optionsOf = ({ fontPx, scrollbackLines, forScreenReader }) => ({ fontSize: fontPx, scrollback: scrollbackLines, screenReaderMode: forScreenReader });

/** In `element`; `options` are more of xterm's; `refit()`: another number of columns and rows may fit now.
 * -> {term, fitting, finding, dispose()}, with the add-ons that fit it and find in it. */
export function openScreen(element, options, refit) {
  const term = safeTerminal({ fontFamily: fontFamily(), theme: theme(), ...optionsOf(currentSettings()), ...options });
  const [fitting, finding] = [new Fitting(), new SearchAddon()];
  for (const addon of [fitting, finding, new WebLinksAddon(openLink)]) term.loadAddon(addon);
  term.open(element);
  const sizes = new ResizeObserver(() => refit());
  sizes.observe(element);
  const themes = new MutationObserver(() => (term.options.theme = theme()));
  themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  const forget = onSettings((settings) => {
    Object.assign(term.options, optionsOf(settings));
    refit();
  });
  const dispose = () => {
    forget();
    sizes.disconnect();
    themes.disconnect();
    term.dispose();
  };
  return { term, fitting, finding, dispose };
}
