// What a program names its window, as the page shows it.

/** As in terminal.py. */
export const WINDOW_TITLE_CHARACTERS = 200;
const UNREADABLE = /[\p{Cc}\p{Bidi_Control}]/gu; // controls, and what turns text around

/** A title as it may stand beside what the page itself says. */
export const plainTitle = (title) => title.replace(UNREADABLE, "").slice(0, WINDOW_TITLE_CHARACTERS);
