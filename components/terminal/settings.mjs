// What a user sets for all terminals of this browser. Kept there; where storage is forbidden it holds for the page.

const KEY = "devex:terminal";
const FONT_PX = { least: 8, most: 32, first: 13 };
export const SCROLLBACK_LINES = [1_000, 10_000, 50_000]; // the most: about 100 MB of a page where they are full
const FIRST = { fontPx: FONT_PX.first, scrollbackLines: 10_000, forScreenReader: false };

const listeners = new Set();
let settings = read();

/** Whatever was kept, by whichever version of us: only what is still possible counts. */
function checked(kept) {
  const { fontPx, scrollbackLines, forScreenReader } = { ...FIRST, ...kept };
  return {
    fontPx: Number.isFinite(fontPx) ? Math.min(Math.max(Math.round(fontPx), FONT_PX.least), FONT_PX.most) : FIRST.fontPx,
    scrollbackLines: SCROLLBACK_LINES.includes(scrollbackLines) ? scrollbackLines : FIRST.scrollbackLines,
    forScreenReader: forScreenReader === true,
  };
}

function read() {
  try {
    return checked(JSON.parse(localStorage.getItem(KEY)));
  } catch {
    return FIRST; // forbidden, or not ours
  }
}

function tell() {
  for (const listener of listeners) listener(settings);
}

/** {fontPx, scrollbackLines, forScreenReader} */
export const currentSettings = () => settings;

/** Sets some of them, for every terminal of this browser. */
export function changeSettings(some) {
  settings = checked({ ...settings, ...some });
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // forbidden
  }
  tell();
}

/** A larger (1) or smaller (-1) font, or the first again (0). */
export const stepFont = (step) => changeSettings({ fontPx: step ? settings.fontPx + step : FONT_PX.first });

/** Calls `listener(settings)` whenever they change, here or in another tab; -> how to end that. */
export function onSettings(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

window.addEventListener("storage", ({ key }) => {
  if (key !== KEY && key !== null) return;
  settings = read();
  tell();
});
