// The keys that a terminal keeps for itself; all others are the program's.

const CTRL_SHIFT = { KeyC: "copy", KeyV: "paste", KeyF: "find", KeyK: "clear", KeyO: "openLinks" };
const CTRL = { Insert: "copy", Backquote: "leave" };
const FONT = { "+": "larger", "=": "larger", "-": "smaller", 0: "usual" }; // by what is printed on them: layouts differ
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** What a keydown means for the terminal itself: the name of what is done, or null. */
export function ownKey({ code, key, ctrlKey, shiftKey, altKey, metaKey }) {
  if (altKey) return null;
  if (ctrlKey && !metaKey && shiftKey && code in CTRL_SHIFT) return CTRL_SHIFT[code];
  if (ctrlKey && !metaKey && !shiftKey && code in CTRL) return CTRL[code];
  const isCommand = isMac ? metaKey && !ctrlKey : ctrlKey && !metaKey;
  if (isCommand && Object.hasOwn(FONT, key) && (key === "+" || !shiftKey)) return FONT[key];
  return isMac && metaKey && key === "k" ? "clear" : null;
}
