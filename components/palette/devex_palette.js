// Command palette, go to file and find in files in one box, and the page's keyboard shortcuts.
import { callJson, replUrl } from "devex-bundle/repl.js";
import { COMMAND, keysOf, matches, rank } from "devex-bundle/palette.js";

const REFOCUS_MS = 100; // later, not at once: a menu that is still open takes the focus back just as stubbornly
const WAIT_MS = 120; // after the last key, before the server is asked
// Of a terminal: vim, tmux and nano have a use of their own for Ctrl and a letter.
const FULL_SCREEN = '[data-screen="alternate"]';

// By the command that opens the box so; the routes that find and search are called alike.
const MODES = {
  find: { label: "Go to file", hint: "File name, or > for commands" },
  commands: { label: "Commands", hint: "Type a command" },
  search: { label: "Find in files", hint: "Text to find in all files" },
};

/** A line as [before, what was looked for, after]. */
function around(line, typed) {
  const at = line.toLowerCase().indexOf(typed.toLowerCase());
  return at < 0 ? [line, "", ""] : [line.slice(0, at), line.slice(at, at + typed.length), line.slice(at + typed.length)];
}

export default {
  template: `
    <teleport to="body"><template v-if="mode">
      <div class="dx-palette-back" @pointerdown="close"></div>
      <div class="dx-palette" role="dialog" aria-modal="true" :aria-label="about.label">
        <input ref="input" v-model="typed" role="combobox" aria-expanded="true" aria-controls="dx-palette-list" :aria-label="about.label" :placeholder="about.hint" spellcheck="false" autocomplete="off"
               :aria-activedescendant="items.length ? 'dx-palette-' + at : null" @input="changed" @keydown="key" @blur="refocus">
        <div id="dx-palette-list" role="listbox" :aria-label="about.label" ref="list">
          <div v-for="(item, index) in items" :key="item.key" :id="'dx-palette-' + index" role="option" :aria-selected="index === at" @pointerdown.prevent="choose(item)" @pointermove="at = index">
            <template v-if="item.text !== undefined"><code>{{ item.text[0] }}<mark>{{ item.text[1] }}</mark>{{ item.text[2] }}</code><small class="dx-palette-place" :title="item.path"><span>{{ item.path }}</span>:{{ item.line }}</small></template>
            <template v-else-if="item.path"><i class="dx-i dx-i-file"></i><span class="dx-palette-title">{{ item.title }}</span><small>{{ item.dir }}</small></template>
            <template v-else>{{ item.title }}<kbd v-if="item.shown">{{ item.shown }}</kbd></template>
          </div>
        </div>
        <div class="dx-palette-foot" role="status" v-show="note">{{ note }}</div>
      </div></template>
    </teleport>`,
  props: { replId: String, commands: Array, leftOut: Array },
  data() {
    return { mode: null, typed: "", items: [], at: 0, note: "" };
  },
  computed: {
    about() {
      return MODES[this.mode];
    },
  },
  mounted() {
    window.addEventListener("keydown", this.shortcut, true); // before the editor and the terminal
  },
  unmounted() {
    window.removeEventListener("keydown", this.shortcut, true);
  },
  methods: {
    shortcut(event) {
      if (this.mode && event.key === "Escape") return this.escape(event);
      const command = this.commands.find((one) => one.keys && matches(event, one.keys));
      const letter = event.ctrlKey && !event.shiftKey && /^[a-z]$/.test(event.key);
      if (!command || (letter && event.target.closest?.(FULL_SCREEN))) return;
      if (event.target.closest?.(`[data-keys~="${command.keys}"]`)) return; // an element's own, such as the terminal's search
      event.preventDefault();
      event.stopPropagation();
      this.run(command.id);
    },
    run(id) {
      if (id in MODES) this.open(id);
      else if (window.dispatchEvent(new CustomEvent(COMMAND, { detail: id, cancelable: true }))) this.$emit("command", id);
    },
    open(mode) {
      if (!this.mode) this.before = document.activeElement;
      Object.assign(this, { mode, typed: "", items: [], at: 0, note: "" });
      this.$nextTick(() => this.$refs.input.focus());
      this.fill();
    },
    close(focusBack = true) {
      this.mode = null;
      clearTimeout(this.timer);
      this.asking?.abort();
      if (focusBack) this.before?.focus?.();
    },
    /** Wherever the keyboard is: a menu below has it until the palette takes it back. */
    escape(event) {
      this.close();
      event.preventDefault();
      event.stopPropagation();
    },
    refocus() {
      setTimeout(() => this.mode && this.$refs.input?.focus(), REFOCUS_MS);
    },
    changed() {
      if (this.mode === "find" && this.typed.startsWith(">")) {
        this.mode = "commands";
        this.typed = this.typed.slice(1);
      }
      clearTimeout(this.timer);
      if (this.mode === "commands") this.fill();
      else this.timer = setTimeout(() => this.fill(), WAIT_MS);
    },
    async fill() {
      this.asking?.abort();
      this.asking = new AbortController();
      const { signal } = this.asking;
      try {
        const items = await this.found(this.mode, this.typed.trim(), signal);
        if (!signal.aborted) Object.assign(this, { items, at: 0 });
      } catch (failed) {
        if (!signal.aborted) Object.assign(this, { items: [], note: failed.message });
      }
    },
    async found(mode, typed, signal) {
      if (mode === "commands") {
        const listed = this.commands.filter(({ id }) => id !== "commands" && !this.leftOut.includes(id));
        const items = rank(listed, typed).map((one) => ({ ...one, key: one.id, shown: keysOf(one.keys || one.own_keys) }));
        this.note = items.length ? "" : "No such command";
        return items;
      }
      if (mode === "search" && !typed) return [];
      const answer = await callJson(`${replUrl(this.replId)}/${mode}?q=${encodeURIComponent(typed)}`, { signal });
      return mode === "find" ? this.asFiles(answer) : this.asMatches(answer, typed);
    },
    asFiles({ paths }) {
      this.note = paths.length ? "" : "No file has such a name.";
      return paths.map((path) => {
        const cut = path.lastIndexOf("/");
        return { key: path, path, title: path.slice(cut + 1), dir: path.slice(0, Math.max(cut, 0)) };
      });
    },
    asMatches({ matches: found, complete }, typed) {
      this.note = !found.length ? "Nothing found" : `${found.length}${complete ? "" : "+"} ${found.length === 1 ? "place" : "places"}`;
      return found.map(({ path, line, text }, index) => ({ key: index, path, line, text: around(text.trim(), typed) }));
    },
    key(event) {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
      if (step) {
        const last = this.items.length - 1;
        this.at = Math.abs(step) === 1 ? (this.at + step + last + 1) % (last + 1 || 1) : Math.min(Math.max(this.at + step, 0), last);
        this.$nextTick(() => this.$refs.list.children[this.at]?.scrollIntoView({ block: "nearest" }));
      } else if (event.key === "Enter") {
        if (this.items[this.at]) this.choose(this.items[this.at]);
      } else if (event.key !== "Tab") return;
      event.preventDefault();
      event.stopPropagation();
    },
    choose(item) {
      const opensFile = item.path !== undefined;
      if (opensFile && !item.path.isWellFormed()) return void (this.note = "Its path is not UTF-8 text: rename it first.");
      this.close(!opensFile); // the focus goes back first: the command may move it on
      if (opensFile) this.$emit("open", { path: item.path, line: item.line ?? null });
      else this.run(item.id);
    },
  },
};
