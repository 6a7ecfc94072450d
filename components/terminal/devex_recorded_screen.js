// What a terminal wrote, as its record has it: a screen that looks like the live one's, into which nobody can type.
import { foundMarks, openScreen, outputDecoder } from "devex-bundle/terminal.js";
import { call, replUrl, wordsOf } from "devex-bundle/repl.js";

const LAST_BYTES = 2_000_000; // of its output: more lines than are kept to scroll back
const ENDED = "\x1b[?25l\x1b[?1000l\x1b[?1002l\x1b[?1003l"; // no cursor: nothing is typed there; the mouse selects, no program has it

export default {
  template: `
    <div class="dx-terminal dx-recorded-screen" :data-state="state">
      <div ref="screen" class="dx-terminal-screen"></div>
      <div v-if="said" class="dx-terminal-note" role="status">{{ said }}</div>
    </div>`,
  props: { replId: String, recordId: String, cols: Number, rows: Number, find: String },
  data() {
    return { state: "loading", said: "" };
  },
  async mounted() {
    await this.$nextTick(); // NiceGUI knows its path prefix only now
    const { cols, rows } = this;
    this.screen = openScreen(this.$refs.screen, { cols, rows, cursorInactiveStyle: "none", disableStdin: true }, () => this.fit());
    this.term = this.screen.term;
    this.term.textarea.setAttribute("aria-label", "Output, ended");
    this.term.attachCustomKeyEventHandler((event) => this.key(event));
    await this.load();
  },
  unmounted() {
    this.loading?.abort();
    this.screen?.dispose();
  },
  methods: {
    async load() {
      const { signal } = (this.loading = new AbortController());
      try {
        const answer = await call(`${replUrl(this.replId)}/records/${this.recordId}/output?last=${LAST_BYTES}`, { signal });
        const bytes = new Uint8Array(await answer.arrayBuffer());
        if (!signal.aborted) this.show(bytes);
      } catch (failed) {
        if (!signal.aborted) Object.assign(this, { state: "failed", said: wordsOf(failed) });
      }
    },
    /** In the size that it was written for; what is no full-screen program's is then laid out anew. */
    show(bytes) {
      this.term.write(outputDecoder()(bytes));
      this.term.write(ENDED, () => {
        this.state = bytes.length ? "shown" : "empty";
        this.said = bytes.length ? "" : "It wrote nothing";
        this.fit();
        if (this.find) this.screen.finding.findPrevious(this.find, { decorations: foundMarks() });
      });
    },
    fit() {
      if (this.state !== "shown" || this.term.buffer.active.type !== "normal" || !this.$refs.screen?.offsetWidth) return;
      this.screen.fitting.fit();
    },
    /** Keys scroll; all others are the browser's: copy, and Tab, which leads on. */
    key({ type, key, ctrlKey, altKey, metaKey }) {
      const { term } = this;
      const scrolls = {
        PageUp: () => term.scrollPages(-1), PageDown: () => term.scrollPages(1), Home: () => term.scrollToTop(), End: () => term.scrollToBottom(),
        ArrowUp: () => term.scrollLines(-1), ArrowDown: () => term.scrollLines(1),
      };
      if (type === "keydown" && !ctrlKey && !altKey && !metaKey) scrolls[key]?.();
      return false;
    },
  },
};
