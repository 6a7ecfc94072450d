// The box that finds text in a terminal and what has scrolled out of it.
import { foundMarks } from "./look.mjs";

const MOST = 1000; // that are counted and marked
const TOGGLES = { isCased: { label: "Match case", keys: "Alt+C", sign: "Aa" }, isRegex: { label: "Regular expression", keys: "Alt+R", sign: ".*" } };

function isRegular(text) {
  try {
    return Boolean(new RegExp(text));
  } catch {
    return false;
  }
}

/** What is said beside the field of `index` (from 0; -1: beyond what is counted) of `count` places. */
function placeWords(index, count) {
  if (!count) return "No results";
  return index < 0 ? `${count}${count >= MOST ? "+" : ""} results` : `${index + 1} of ${count}${count >= MOST ? "+" : ""}`;
}

export const SearchBox = {
  template: `
    <form class="dx-terminal-search" role="search" @submit.prevent="find(true)" @keydown="key">
      <input ref="field" v-model="typed" placeholder="Find in terminal" aria-label="Find in terminal" spellcheck="false" autocomplete="off" autocapitalize="off" :aria-invalid="isWrong || null" @input="findLast">
      <span class="dx-terminal-found" role="status">{{ words }}</span>
      <button v-for="(about, name) in toggles" :key="name" type="button" class="dx-btn dx-btn-quiet dx-btn-icon" :aria-label="about.label" :aria-pressed="on[name]" :title="about.label + ' (' + about.keys + ')'" @click="toggle(name)">{{ about.sign }}</button>
      <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Previous" title="Previous (Shift+Enter)" @click="find(false)"><i class="dx-i dx-i-up"></i></button>
      <button type="submit" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Next" title="Next (Enter)"><i class="dx-i dx-i-down"></i></button>
      <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Close the search" title="Close (Escape)" @click="$emit('close')"><i class="dx-i dx-i-close"></i></button>
    </form>`,
  props: { term: Object, finder: Object, first: String },
  emits: ["close"],
  data() {
    return { typed: this.first, on: { isCased: false, isRegex: false }, words: "", toggles: TOGGLES };
  },
  computed: {
    isWrong() {
      return this.on.isRegex && !isRegular(this.typed);
    },
  },
  mounted() {
    this.counting = this.finder.onDidChangeResults(({ resultIndex, resultCount }) => {
      if (this.typed && !this.isWrong) this.words = placeWords(resultIndex, resultCount);
    });
    this.ask();
    this.find(true, true); // what is selected comes first
  },
  unmounted() {
    this.counting.dispose();
    this.finder.clearDecorations();
  },
  methods: {
    /** Asked for again while it is open. */
    ask(text = this.typed) {
      this.typed = text;
      this.$refs.field.focus();
      this.$refs.field.select();
    },
    find(forward, incremental = false) {
      this.words = this.isWrong ? "No regular expression" : "";
      if (!this.typed || this.isWrong) return this.finder.clearDecorations();
      const options = { incremental, caseSensitive: this.on.isCased, regex: this.on.isRegex, decorations: foundMarks() };
      if (forward) this.finder.findNext(this.typed, options);
      else this.finder.findPrevious(this.typed, options);
    },
    /** The newest place: where one is anew, whatever was found before. */
    findLast() {
      this.term.clearSelection();
      this.find(false);
    },
    toggle(name) {
      this.on[name] = !this.on[name];
      this.findLast();
    },
    key(event) {
      const toggled = event.altKey && { KeyC: "isCased", KeyR: "isRegex" }[event.code];
      if (event.key === "Escape") this.$emit("close");
      else if (toggled) this.toggle(toggled);
      else if (event.key === "Enter" && event.shiftKey) this.find(false);
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
  },
};
