// What a program names its window, as the page shows it.

/** As in terminal.py. */
export const WINDOW_TITLE_CHARACTERS = 200;
const UNREADABLE = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g; // controls, and what turns text around

/** A title as it may stand beside what the page itself says. */
export const plainTitle = (title) => title.replace(UNREADABLE, "").slice(0, WINDOW_TITLE_CHARACTERS);
