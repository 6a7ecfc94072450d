// One terminal of a REPL: xterm.js drawing what comes over a WebSocket of its own.
import { Attachment, FitAddon, SearchAddon, Terminal, UnicodeGraphemesAddon, WebLinksAddon, boundCounts, keepKeys, takeKeys, webgl } from "devex-bundle/terminal.js";
import { replUrl } from "devex-bundle/repl.js";

const FONT_PX = 13;
const SCROLLBACK_LINES = 10_000;
const ENCODER = new TextEncoder();
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g; // a paste that carries its own end would type what follows it
const RENDERER_AFTER_MS = 1000; // looking for a graphics card takes 50 ms: the prompt comes first
const TITLE_MS = 500; // a program may change its title in a loop

const NOTES = { reconnecting: "Reconnecting… what you type is kept", gone: "This terminal is closed" };

const ANSI = {
  dark: ["#3b4252", "#ff7b81", "#57cf85", "#e5b454", "#8ea0ff", "#c99bff", "#5fd0d8", "#d9dde6",
    "#667083", "#ff9ba0", "#7fe0a4", "#f0ca7c", "#aebaff", "#dcbcff", "#8ee3e9", "#ffffff"],
  light: ["#1d222b", "#c32a34", "#157a3c", "#8f5b00", "#4059de", "#8632b8", "#08717c", "#5d6675",
    "#5d6675", "#d8434d", "#1b8f48", "#a76c05", "#5a70ea", "#9d4bcf", "#0d8591", "#1d222b"],
};
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

function theme() {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--devex-${name}`).trim();
  const palette = ANSI[document.body.classList.contains("body--dark") ? "dark" : "light"];
  const result = { background: colour("bg"), foreground: colour("fg"), cursor: colour("accent"), cursorAccent: colour("bg") };
  NAMES.forEach((name, index) => {
    result[name] = palette[index];
    result[`bright${name[0].toUpperCase()}${name.slice(1)}`] = palette[index + 8];
  });
  result.selectionBackground = `${colour("accent")}55`;
  return result;
}

const ENDED_BY = { 2: "interrupted", 9: "killed", 15: "stopped" };

function ending({ status, signal, lost }) {
  if (lost) return "The sandbox ended, and this terminal with it.";
  if (signal) return `The program was ${ENDED_BY[signal] ?? `ended by signal ${signal}`}.`;
  return `The program ended with exit code ${status}.`;
}

function openLink(event, address) {
  if (/^https?:\/\//i.test(address)) window.open(address, "_blank", "noopener,noreferrer");
}

export default {
  template: `
    <div class="dx-terminal" :data-state="state" data-keys="Mod+Shift+F">
      <div ref="screen" class="dx-terminal-screen"></div>
      <form v-if="searching" class="dx-terminal-search" @submit.prevent="find(true)" @keydown.esc.prevent="closeSearch">
        <input ref="query" v-model="query" placeholder="Find in terminal" aria-label="Find in terminal" @input="find(true, true)">
        <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Previous" title="Previous" @click="find(false)"><i class="dx-i dx-i-down" style="rotate: 180deg"></i></button>
        <button type="submit" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Next" title="Next"><i class="dx-i dx-i-down"></i></button>
        <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Close the search" title="Close" @click="closeSearch"><i class="dx-i dx-i-close"></i></button>
      </form>
      <div v-else-if="note" class="dx-terminal-note" role="status">{{ note }}</div>
    </div>`,
  props: { replId: String, terminalId: String },
  emits: ["title"],
  data() {
    return { state: "connecting", searching: false, query: "" };
  },
  computed: {
    note() {
      return NOTES[this.state];
    },
  },
  async mounted() {
    await this.$nextTick(); // NiceGUI knows its path prefix only now
    const style = getComputedStyle(document.body);
    const term = new Terminal({
      fontFamily: style.getPropertyValue("--devex-mono") || "monospace",
      fontSize: FONT_PX,
      scrollback: SCROLLBACK_LINES,
      theme: theme(),
      allowProposedApi: true, // the grapheme add-on needs it
      minimumContrastRatio: 4.5,
      macOptionIsMeta: true,
      linkHandler: { activate: openLink }, // OSC 8: http and https only
    });
    this.term = term;
    this.fitting = new FitAddon();
    this.finding = new SearchAddon();
    for (const addon of [this.fitting, this.finding, new WebLinksAddon(openLink), new UnicodeGraphemesAddon()]) term.loadAddon(addon);
    term.open(this.$refs.screen);
    boundCounts(term);
    term.parser.registerOscHandler(52, () => true); // a program may not reach the clipboard
    setTimeout(() => this.useWebgl(), RENDERER_AFTER_MS);
    term.buffer.onBufferChange(({ type }) => (this.$el.dataset.screen = type)); // read by the palette
    term.onTitleChange((title) => this.named(title));
    term.onData((data) => this.attachment?.type(ENCODER.encode(data)));
    term.onBinary((data) => this.attachment?.type(Uint8Array.from(data, (character) => character.charCodeAt(0))));
    term.attachCustomKeyEventHandler((event) => this.key(event));
    this.$refs.screen.addEventListener("paste", (event) => this.paste(event), true);
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.$refs.screen);
    this.themes = new MutationObserver(() => (term.options.theme = theme()));
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.attachment = new Attachment((after) => `${replUrl(this.replId)}/terminals/${this.terminalId}?after=${after}`, {
      output: (bytes, rendered) => term.write(bytes, rendered),
      gap: (bytes) => bytes < 0 ? term.reset() : term.write(`\r\n\x1b[0;7m … ${bytes.toLocaleString("en")} bytes of output are not kept … \x1b[0m\r\n`),
      exited: (about) => this.exited(about),
      size: (cols, rows) => term.resize(cols, rows),
      ready: ({ cols, rows }) => {
        term.resize(cols, rows);
        this.fit();
      },
      state: (state) => (this.state = state),
    });
    this.attachment.type(takeKeys(this.replId, this.terminalId));
    window.addEventListener("pagehide", this.keepKeys);
    this.fit();
  },
  unmounted() {
    window.removeEventListener("pagehide", this.keepKeys);
    clearTimeout(this.naming);
    this.observer?.disconnect();
    this.themes?.disconnect();
    this.attachment?.close();
    this.term?.dispose();
  },
  methods: {
    async useWebgl() {
      const addon = await webgl();
      if (!addon || !this.term?.element?.isConnected) return;
      addon.onContextLoss(() => addon.dispose()); // xterm goes on with its DOM renderer
      try {
        this.term.loadAddon(addon);
      } catch {
        addon.dispose();
      }
    },
    key(event) {
      if (event.type !== "keydown" || !event.ctrlKey || event.altKey || event.metaKey) return true;
      if (event.shiftKey && event.code === "KeyC") {
        this.copy();
        event.preventDefault();
        return false;
      }
      if (event.shiftKey && event.code === "KeyV") return false; // the browser pastes: the paste event brings the text
      if (event.shiftKey && event.code === "KeyF") {
        this.openSearch();
        event.preventDefault();
        event.stopPropagation();
        return false;
      }
      return true;
    },
    copy() {
      // The native copy event works over plain http too, where the clipboard interface is not there.
      const text = this.term.getSelection();
      if (!text) return;
      const give = (event) => {
        event.clipboardData.setData("text/plain", text);
        event.preventDefault();
        event.stopImmediatePropagation();
      };
      document.addEventListener("copy", give, { capture: true, once: true });
      document.execCommand("copy");
      document.removeEventListener("copy", give, { capture: true });
    },
    paste(event) {
      const text = event.clipboardData?.getData("text/plain");
      if (!text) return;
      event.preventDefault();
      event.stopPropagation();
      this.term.paste(text.replace(CONTROLS, ""));
    },
    named(title) {
      this.title = title;
      this.naming ??= setTimeout(() => {
        this.naming = undefined;
        this.$emit("title", this.title);
      }, TITLE_MS);
    },
    exited(about) {
      if (this.ended === about.status) return; // said again after each reconnect
      this.ended = about.status;
      this.term.write(`\r\n\x1b[0;2m${ending(about)}\x1b[0m\r\n\x1b[?25l`);
    },
    fit() {
      if (!this.attachment || !this.$refs.screen?.offsetWidth || !this.$refs.screen.offsetHeight) {
        this.attachment?.resize(0, 0); // hidden: somebody else's size counts
        return;
      }
      const size = this.fitting.proposeDimensions();
      if (size?.cols > 1 && size.rows > 0) this.attachment.resize(size.cols, size.rows);
    },
    keepKeys({ persisted }) {
      if (!persisted) keepKeys(this.replId, this.terminalId, this.attachment.untyped()); // else this page itself comes back
    },
    focus() {
      this.term?.focus();
    },
    async openSearch() {
      this.searching = true;
      this.query = this.term.getSelection().split("\n")[0] || this.query;
      await this.$nextTick();
      this.$refs.query.select();
    },
    find(forward, incremental = false) {
      if (!this.query) return;
      if (forward) this.finding.findNext(this.query, { incremental });
      else this.finding.findPrevious(this.query);
    },
    closeSearch() {
      this.searching = false;
      this.finding.clearDecorations();
      this.focus();
    },
  },
};
