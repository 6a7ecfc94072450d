// Two texts to read and to compare: side by side, or in one column where there is no room for two.
import { defaultKeymap } from "@codemirror/commands";
import { syntaxHighlighting } from "@codemirror/language";
import { MergeView, goToNextChunk, goToPreviousChunk, unifiedMergeView } from "@codemirror/merge";
import { search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { PHRASES, hasLongLine, highlighting, languageOf, loaded, themeNow } from "../editor/look.mjs";

const MOST_MS = 500; // then the differences are found more coarsely: the page waits meanwhile
const FOLDED = { margin: 3, minSize: 6 }; // lines
const PARTS = { theme: new Compartment(), language: new Compartment() };

export class Comparison {
  /** `before` and `after` are {text, label}; the labels are for screen readers. `folded`: lines that are the same are
   * left out where there are many; `marked`: what differs within a line is underlined. */
  constructor(parent, path, before, after, { sideBySide, folded, marked }) {
    this.path = path;
    const diffConfig = { scanLimit: 500, timeout: MOST_MS };
    const how = { gutter: true, highlightChanges: marked, diffConfig, ...(folded && { collapseUnchanged: FOLDED }) };
    if (sideBySide) {
      const side = ({ text, label }) => ({ doc: text, extensions: this.extensions(label) });
      this.merged = new MergeView({ parent, a: side(before), b: side(after), ...how });
      this.views = [this.merged.a, this.merged.b];
    } else {
      const unified = unifiedMergeView({ original: before.text, mergeControls: false, ...how });
      this.views = [new EditorView({ parent, doc: after.text, extensions: [this.extensions(after.label), unified] })];
    }
    this.observer = new MutationObserver(() => this.set("theme", themeNow()));
    this.observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    if (![before, after].some(({ text }) => hasLongLine(text))) this.colour();
  }

  extensions(label) {
    return [
      lineNumbers(), highlightSpecialChars(), drawSelection(), syntaxHighlighting(highlighting), search({ top: true }),
      EditorState.readOnly.of(true), EditorState.phrases.of(PHRASES), EditorView.lineWrapping,
      keymap.of([...defaultKeymap, ...searchKeymap]),
      EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true", spellcheck: "false" }),
      PARTS.theme.of(themeNow()), PARTS.language.of([]),
    ];
  }

  set(part, extension) {
    for (const view of this.views) view.dispatch({ effects: PARTS[part].reconfigure(extension) });
  }

  async colour() {
    const language = await loaded(languageOf(this.path));
    if (!this.isOver) this.set("language", language);
  }

  /** To the next change, or the one before; the later text leads. */
  go(forward) {
    const view = this.views.at(-1);
    (forward ? goToNextChunk : goToPreviousChunk)(view);
    view.focus();
  }

  destroy() {
    this.isOver = true;
    this.observer.disconnect();
    if (this.merged) this.merged.destroy();
    else this.views[0].destroy();
  }
}
