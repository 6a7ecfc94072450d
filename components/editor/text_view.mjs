// The CodeMirror side: what every editor has, languages by file name, and how a replica is shown.
import {
  autocompletion, closeBrackets, closeBracketsKeymap, completeAnyWord, completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import {
  HighlightStyle, LanguageDescription, bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit, syntaxHighlighting,
} from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorSelection, EditorState, Prec } from "@codemirror/state";
import {
  EditorView, crosshairCursor, drawSelection, dropCursor, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap,
  lineNumbers, rectangularSelection,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { yCollab, ySyncAnnotation, yUndoManagerKeymap } from "y-codemirror.next";
import * as Y from "yjs";

const MAX_TEXT = 5_000_000; // the server's MAX_TEXT_BYTES
const LONG_LINE = 20_000; // parsers and bracket matching go through whole lines: beyond this typing would stutter
const LARGE_TEXT = 2_000_000; // word completion and selection matches look through the text

const highlighting = HighlightStyle.define([
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
const PHRASES = {
  next: "Next", previous: "Previous", all: "Select all", replace: "Replace", "replace all": "Replace all",
  "match case": "Match case", regexp: "Regex", "by word": "Whole words",
};
const isDark = () => document.body.classList.contains("body--dark");
const themes = { light: EditorView.theme(colours), dark: EditorView.theme(colours, { dark: true }) };

/** A text that belongs to no file in the proxy. */
export function textOf(string) {
  const text = new Y.Doc().getText();
  text.insert(0, string);
  return text;
}

/** One text on the screen, to edit or to read; follows the page's theme. `onCursor(line, column)`: where the caret is;
 * `onRefused(sentence)`: an edit was not taken. */
export class TextView {
  constructor(parent, path, { onCursor = () => {}, onRefused = () => {} } = {}) {
    Object.assign(this, { path, onCursor, onRefused, language: [], found: null });
    this.parts = { name: new Compartment(), theme: new Compartment(), language: new Compartment(), readOnly: new Compartment() };
    this.view = new EditorView({ parent });
    this.isDark = isDark();
    this.observer = new MutationObserver(() => this.isDark !== isDark() && this.followTheme());
    this.observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  /** Show a replica; the caret stays where the text around it stays. */
  show(text, readOnly) {
    const content = text.toString();
    const before = this.view.state;
    const scroll = this.view.scrollSnapshot();
    this.plain = hasLongLine(content);
    const state = EditorState.create({
      doc: content,
      selection: movedSelection(before, content),
      extensions: [yCollab(text, null, { undoManager: new Y.UndoManager(text) }), this.extensions(content.length, readOnly)],
    });
    this.view.setState(state);
    if (before.doc.length) this.view.dispatch({ effects: scroll });
    if (!this.plain) this.loadLanguage();
  }

  extensions(size, readOnly) {
    const { name, theme, language, readOnly: editable } = this.parts;
    return [
      Prec.high(keymap.of(yUndoManagerKeymap)),
      lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), foldGutter(), drawSelection(), dropCursor(),
      EditorState.allowMultipleSelections.of(true), indentOnInput(), indentUnit.of("    "), syntaxHighlighting(highlighting),
      this.plain ? [] : bracketMatching(), closeBrackets(), autocompletion(), rectangularSelection(), crosshairCursor(),
      highlightActiveLine(), search({ top: true }), EditorState.phrases.of(PHRASES),
      size < LARGE_TEXT && !this.plain ? [highlightSelectionMatches(), EditorState.languageData.of(() => [{ autocomplete: otherWords }])] : [],
      keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap, indentWithTab]),
      EditorView.contentAttributes.of({ spellcheck: "false", autocorrect: "off", autocapitalize: "off" }),
      name.of(this.nameNow()), theme.of(this.themeNow()), language.of(this.plain ? [] : this.language), editable.of(EditorState.readOnly.of(readOnly)),
      EditorState.transactionFilter.of((transaction) => this.bounded(transaction)),
      EditorView.updateListener.of((update) => this.onUpdate(update)),
    ];
  }

  bounded(transaction) {
    if (!transaction.docChanged || transaction.newDoc.length <= MAX_TEXT || transaction.annotation(ySyncAnnotation)) return transaction;
    this.onRefused("The file would become too large to edit. Upload it instead.");
    return [];
  }

  onUpdate(update) {
    if (update.docChanged && !this.plain && longLineIn(update)) {
      this.plain = true;
      queueMicrotask(() => this.view.dispatch({ effects: this.parts.language.reconfigure([]) }));
    }
    if (update.selectionSet || update.docChanged || update.focusChanged) this.tellCursor();
  }

  tellCursor() {
    const { state } = this.view;
    const line = state.doc.lineAt(state.selection.main.head);
    this.onCursor(line.number, state.selection.main.head - line.from + 1);
  }

  async loadLanguage() {
    const found = LanguageDescription.matchFilename(languages, this.path.split("/").pop());
    if (found === this.found) return;
    this.found = found;
    let language = [];
    try {
      if (found) language = await found.load();
    } catch {
      // a text without colours is still a text
    }
    if (found !== this.found) return; // renamed meanwhile
    this.language = language;
    if (!this.plain) this.view.dispatch({ effects: this.parts.language.reconfigure(this.language) });
  }

  /** The file has another path now, and maybe another language. */
  rename(path) {
    this.path = path;
    this.view.dispatch({ effects: this.parts.name.reconfigure(this.nameNow()) });
    if (!this.plain) this.loadLanguage();
  }

  nameNow() {
    return EditorView.contentAttributes.of({ "aria-label": this.path });
  }

  setReadOnly(readOnly) {
    if (this.view.state.readOnly !== readOnly) {
      this.view.dispatch({ effects: this.parts.readOnly.reconfigure(EditorState.readOnly.of(readOnly)) });
    }
  }

  followTheme() {
    this.isDark = isDark();
    this.view.dispatch({ effects: this.parts.theme.reconfigure(this.themeNow()) });
  }

  themeNow() {
    return themes[this.isDark ? "dark" : "light"];
  }

  goTo(line) {
    const { doc } = this.view.state;
    const { from } = doc.line(Math.min(Math.max(line, 1), doc.lines));
    this.view.dispatch({ selection: EditorSelection.cursor(from), effects: EditorView.scrollIntoView(from, { y: "center" }) });
  }

  focus() {
    this.view.focus();
  }

  /** It was hidden, or changed its size. */
  measure() {
    this.view.requestMeasure();
  }

  destroy() {
    this.observer.disconnect();
    this.view.destroy();
  }
}

/** The words of the text, where the language has nothing to offer. */
function otherWords(context) {
  return context.state.languageDataAt("autocomplete", context.pos).length > 1 ? null : completeAnyWord(context);
}

function hasLongLine(content) {
  for (let from = 0; from + LONG_LINE < content.length; ) {
    const end = content.lastIndexOf("\n", from + LONG_LINE);
    if (end < from) return true;
    from = end + 1;
  }
  return false;
}

function longLineIn({ changes, state }) {
  let found = false;
  changes.iterChangedRanges((_fromA, _toA, fromB, toB) => {
    const first = state.doc.lineAt(fromB);
    found ||= first.length > LONG_LINE || (toB > first.to && hasLongLine(state.doc.sliceString(first.from, state.doc.lineAt(toB).to)));
  });
  return found;
}

/** The selection of `before` in a text that differs from it in one place. */
function movedSelection({ doc, selection }, content) {
  const old = doc.toString();
  const shorter = Math.min(old.length, content.length);
  let head = 0;
  while (head < shorter && old[head] === content[head]) head++;
  const moved = (at) => Math.min(Math.max(at <= head ? at : at + content.length - old.length, 0), content.length);
  return EditorSelection.range(moved(selection.main.anchor), moved(selection.main.head));
}
