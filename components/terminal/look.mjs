// How a terminal looks: the page's colours, and sixteen of its own for each theme.

const ANSI = {
  dark: ["#3b4252", "#ff7b81", "#57cf85", "#e5b454", "#8ea0ff", "#c99bff", "#5fd0d8", "#d9dde6",
    "#667083", "#ff9ba0", "#7fe0a4", "#f0ca7c", "#aebaff", "#dcbcff", "#8ee3e9", "#ffffff"],
  light: ["#1d222b", "#c32a34", "#157a3c", "#8f5b00", "#4059de", "#8632b8", "#08717c", "#5d6675",
    "#5d6675", "#d8434d", "#1b8f48", "#a76c05", "#5a70ea", "#9d4bcf", "#0d8591", "#1d222b"],
};
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const FOUND = {
  dark: { matchBackground: "#4d4113", activeMatchBackground: "#7d6200" },
  light: { matchBackground: "#ffefb8", activeMatchBackground: "#ffc94d" },
};

const kind = () => (document.body.classList.contains("body--dark") ? "dark" : "light");
const style = () => getComputedStyle(document.body);

/** The font's names, for xterm. */
export const fontFamily = () => style().getPropertyValue("--devex-mono") || "monospace";

/** As ITheme. */
export function theme() {
  const page = style();
  const colour = (name) => page.getPropertyValue(`--devex-${name}`).trim();
  const palette = ANSI[kind()];
  const result = { background: colour("bg"), foreground: colour("fg"), cursor: colour("accent"), cursorAccent: colour("bg") };
  NAMES.forEach((name, index) => {
    result[name] = palette[index];
    result[`bright${name[0].toUpperCase()}${name.slice(1)}`] = palette[index + 8];
  });
  result.selectionBackground = `${colour("accent")}55`;
  return result;
}

/** How what was searched for is marked, as ISearchDecorationOptions. */
export function foundMarks() {
  const marks = FOUND[kind()];
  return { ...marks, matchOverviewRuler: marks.activeMatchBackground, activeMatchColorOverviewRuler: marks.activeMatchBackground };
}
