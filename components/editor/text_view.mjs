// The CodeMirror side: what every editor has, languages by file name, and how a replica is shown.
import {
  autocompletion, closeBrackets, closeBracketsKeymap, completeAnyWord, completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorSelection, EditorState, Prec } from "@codemirror/state";
import {
  EditorView, crosshairCursor, drawSelection, dropCursor, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap,
  lineNumbers, rectangularSelection,
} from "@codemirror/view";
import { yCollab, ySyncAnnotation, yUndoManagerKeymap } from "y-codemirror.next";
import * as Y from "yjs";
import { LONG_LINE, PHRASES, hasLongLine, highlighting, isDark, languageOf, loaded, themeNow } from "./look.mjs";
import { CONTENT } from "./wire.mjs";

const MAX_TEXT = 5_000_000; // the server's MAX_TEXT_BYTES
const LARGE_TEXT = 2_000_000; // word completion and selection matches look through the text

/** A text that belongs to no file in the proxy. */
export function textOf(string) {
  const text = new Y.Doc().getText(CONTENT);
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
      name.of(this.nameNow()), theme.of(themeNow()), language.of(this.plain ? [] : this.language), editable.of(EditorState.readOnly.of(readOnly)),
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
    const found = languageOf(this.path);
    if (found === this.found) return;
    this.found = found;
    const language = await loaded(found);
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
    this.view.dispatch({ effects: this.parts.theme.reconfigure(themeNow()) });
  }

  goTo(line, column) {
    const { doc } = this.view.state;
    const { from, length } = doc.line(Math.min(Math.max(line, 1), doc.lines));
    const at = from + Math.min(Math.max((column ?? 1) - 1, 0), length);
    this.view.dispatch({ selection: EditorSelection.cursor(at), effects: EditorView.scrollIntoView(at, { y: "center" }) });
  }

  get caret() {
    return this.view.state.selection.main.head;
  }

  set caret(at) {
    this.view.dispatch({ selection: EditorSelection.cursor(at), effects: EditorView.scrollIntoView(at, { y: "center" }) });
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
