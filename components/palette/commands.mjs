// Commands of the page: which one a key combination means, which ones a few typed letters mean, and how elements hear of them.

/** The window's event that gives a command, its id in `detail`; who carries it out prevents the default. */
export const COMMAND = "devex:command";

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** "Mod+Shift+P" as this machine's keyboard names it. */
export const keysOf = (keys) => (isMac ? keys.replace("Mod", "⌘").replace("Shift", "⇧").replaceAll("+", "") : keys.replace("Mod", "Ctrl"));

/** Whether a keydown is the combination `keys`; Mod is Ctrl, or Cmd on a Mac. */
export function matches(event, keys) {
  const parts = keys.split("+");
  const key = parts.pop();
  const mod = isMac && key !== "`" ? event.metaKey : event.ctrlKey;
  const same = key === "`" ? event.code === "Backquote" : event.key.toLowerCase() === key.toLowerCase();
  return same && mod === parts.includes("Mod") && event.shiftKey === parts.includes("Shift") && !event.altKey;
}

/** Items whose title holds the letters in order, closest first. */
export function rank(items, typed) {
  const letters = typed.toLowerCase().replace(/\s+/g, "");
  const score = (title) => {
    let at = -1;
    let gaps = 0;
    for (const letter of letters) {
      const next = title.indexOf(letter, at + 1);
      if (next < 0) return null;
      gaps += next - at - 1;
      at = next;
    }
    return gaps;
  };
  return items
    .map((item) => ({ item, score: score(item.title.toLowerCase()) }))
    .filter(({ score: value }) => value !== null)
    .sort((a, b) => a.score - b.score)
    .map(({ item }) => item);
}
