// What the menu of a terminal offers, as a decision.

/** Items for `openMenu`, null for a line; `does` has one function for each. */
export function menuItems({ hasSelection, canWrite, isNamed, does }) {
  const copy = { label: "Copy", icon: "copy", keys: "Ctrl+Shift+C", run: does.copy };
  const paste = { label: "Paste", icon: "paste", keys: "Ctrl+Shift+V", run: does.paste };
  const rename = { label: "Rename…", icon: "rename", run: does.rename };
  return [
    hasSelection && copy,
    canWrite && paste,
    { label: "Select all", icon: "select-all", run: does.selectAll },
    null,
    { label: "Find", icon: "search", keys: "Ctrl+Shift+F", run: does.find },
    { label: "Clear", icon: "clear", keys: "Ctrl+Shift+K", run: does.clear },
    canWrite && isNamed && rename,
    null,
    { label: "Download as text", icon: "download", run: does.downloadText },
    { label: "Download as asciicast", icon: "download", run: does.downloadCast },
    null,
    { label: "Settings…", icon: "gear", run: does.settings },
  ].filter((item) => item || item === null);
}
