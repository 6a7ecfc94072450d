// How every text of a file looks, to edit, to read or to compare: colours, words, languages by file name.
import { HighlightStyle, LanguageDescription } from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const LONG_LINE = 20_000; // parsers and bracket matching go through whole lines: beyond this typing would stutter

export const highlighting = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword, tags.controlKeyword], class: "dx-s-keyword" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp, tags.character], class: "dx-s-string" },
  { tag: [tags.comment, tags.meta], class: "dx-s-comment" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.escape, tags.color, tags.unit], class: "dx-s-number" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName), tags.macroName], class: "dx-s-function" },
  { tag: [tags.typeName, tags.className, tags.namespace, tags.tagName], class: "dx-s-type" },
  { tag: [tags.propertyName, tags.attributeName, tags.labelName], class: "dx-s-property" },
  { tag: [tags.operator, tags.punctuation, tags.bracket], class: "dx-s-operator" },
  { tag: [tags.heading, tags.strong], class: "dx-s-strong" },
  { tag: tags.emphasis, class: "dx-s-emphasis" },
  { tag: [tags.link, tags.url], class: "dx-s-link" },
  { tag: tags.strikethrough, class: "dx-s-strike" },
  { tag: tags.invalid, class: "dx-s-invalid" },
]);

const colours = {
  "&": { height: "100%", color: "var(--devex-fg)", backgroundColor: "var(--devex-bg)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--devex-mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--devex-accent)", padding: "6px 0" },
  ".cm-cursor, .cm-dropCursor": { borderLeft: "2px solid var(--devex-accent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground, .cm-content ::selection": {
    backgroundColor: "color-mix(in srgb, var(--devex-accent) 26%, transparent)",
  },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--devex-hover) 45%, transparent)" },
  ".cm-gutters": { backgroundColor: "var(--devex-bg)", color: "var(--devex-muted)", border: "none" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--devex-fg)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--devex-hover)", color: "var(--devex-muted)", border: "none" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--devex-accent) 16%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--devex-warn) 32%, transparent)" },
  ".cm-searchMatch-selected": { outline: "1px solid var(--devex-warn)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--devex-ok) 26%, transparent)" },
  "&.cm-focused .cm-nonmatchingBracket": { color: "var(--devex-danger)", backgroundColor: "transparent" },
  ".cm-panels": { backgroundColor: "var(--devex-panel)", color: "var(--devex-fg)", borderColor: "var(--devex-border)" },
  ".cm-panels-top": { borderBottom: "1px solid var(--devex-border)" },
  ".cm-panel.cm-search": { display: "flex", flexWrap: "wrap", alignItems: "center", gap: "6px", padding: "6px 38px 6px 8px", font: "12.5px/1.4 var(--devex-font)" },
  ".cm-panel.cm-search :is(input, button, label)": { margin: "0" },
  ".cm-panel.cm-search .cm-textfield": {
    flex: "1 1 110px", minWidth: "0", maxWidth: "280px", height: "26px", padding: "0 8px", border: "1px solid var(--devex-strong-border)", borderRadius: "5px",
    background: "var(--devex-bg)", color: "var(--devex-fg)", font: "12.5px var(--devex-mono)",
  },
  ".cm-panel.cm-search .cm-textfield:focus": { outline: "2px solid var(--devex-accent)", outlineOffset: "-1px" },
  ".cm-panel.cm-search .cm-button": {
    height: "26px", padding: "0 8px", border: "1px solid var(--devex-border)", borderRadius: "5px", background: "var(--devex-raised)",
    color: "var(--devex-fg)", font: "500 12px var(--devex-font)", cursor: "pointer",
  },
  ".cm-panel.cm-search .cm-button:hover": { background: "var(--devex-hover)" },
  ".cm-panel.cm-search label": { display: "inline-flex", alignItems: "center", gap: "5px", color: "var(--devex-muted)", fontSize: "12px", cursor: "pointer" },
  ".cm-panel.cm-search input[type=checkbox]": { width: "14px", height: "14px", accentColor: "var(--devex-accent)" },
  ".cm-panel.cm-search [name=close]": {
    top: "6px", right: "8px", width: "26px", height: "26px", borderRadius: "5px", color: "var(--devex-muted)", font: "20px/1 var(--devex-font)", cursor: "pointer",
  },
  ".cm-panel.cm-search [name=close]:hover": { background: "var(--devex-hover)", color: "var(--devex-fg)" },
  ".cm-tooltip": { backgroundColor: "var(--devex-raised, var(--devex-panel))", color: "var(--devex-fg)", border: "1px solid var(--devex-border)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--devex-accent)", color: "var(--devex-accent-fg, #fff)" },
};

// The words of the search panel, as on all other buttons here.
export const PHRASES = {
  next: "Next", previous: "Previous", all: "Select all", replace: "Replace", "replace all": "Replace all",
  "match case": "Match case", regexp: "Regex", "by word": "Whole words",
};

const themes = { light: EditorView.theme(colours), dark: EditorView.theme(colours, { dark: true }) };

export const isDark = () => document.body.classList.contains("body--dark");

/** Of the page as it is now. */
export const themeNow = () => themes[isDark() ? "dark" : "light"];

/** What CodeMirror knows of the language of a file by its name; null when it knows none. */
export const languageOf = (path) => LanguageDescription.matchFilename(languages, path.split("/").pop());

/** The extension of a language, fetched when it is first wanted. */
export async function loaded(description) {
  try {
    return description ? await description.load() : [];
  } catch {
    return []; // a text without colours is still a text
  }
}

/** Whether parsers would stutter over it. */
export function hasLongLine(content) {
  for (let from = 0; from + LONG_LINE < content.length; ) {
    const end = content.lastIndexOf("\n", from + LONG_LINE);
    if (end < from) return true;
    from = end + 1;
  }
  return false;
}
