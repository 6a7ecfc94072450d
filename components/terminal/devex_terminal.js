// One terminal of a REPL: xterm.js drawing what comes over a WebSocket of its own.
import {
  ALONE, AS_BEFORE, Attachment, BY_TOUCH, FileLinks, People, SearchBox, Sized, TouchKeys, changeSettings, cleanedPaste, clipboardText,
  copyText, currentSettings, downloadRecord, isDroppable, isFront, joinTerminals, keepKeys, markOf, menuItems, missingWords, openMenu,
  openScreen, openSettings, outputDecoder, ownKey, plainTitle, renameTerminal, roomIn, stepFont, sureToPaste, takeKeys, understood, useWebgl,
  wordsOfDrop, writeBefore,
} from "devex-bundle/terminal.js";
import { COMMAND } from "devex-bundle/palette.js";
import { replUrl, wordsOf } from "devex-bundle/repl.js";

const ENCODER = new TextEncoder();
const RENDERER_AFTER_MS = 1000; // looking for a graphics card takes 50 ms: the prompt comes first
const SAID_MS = 4000; // two short sentences are read by then
const TITLE_MS = 500; // a program may change its title in a loop
const LEAVING = "Ctrl+` leaves the terminal.";

const COMMANDS = {
  "terminal-find": "find", "terminal-clear": "clear", "terminal-links": "openLinks", "terminal-rename": "rename", "terminal-take-over": "takeOver",
  "terminal-settings": "settings", "screen-reader": "readOut", "download-text": "downloadText", "download-cast": "downloadCast",
};

const RECONNECTING = "Reconnecting…";
const NOTES = { reconnecting: `${RECONNECTING} what you type is kept`, gone: "This terminal is closed" };

const ENDED_BY = { 2: "interrupted", 9: "killed", 15: "stopped" };

function ending({ status, signal, lost }) {
  if (lost) return "The sandbox ended, and this terminal with it.";
  if (signal) return `The program was ${ENDED_BY[signal] ?? `ended by signal ${signal}`}.`;
  return `The program ended with exit code ${status}.`;
}

export default {
  components: { People, SearchBox, TouchKeys },
  template: `
    <div class="dx-terminal" :data-state="state" :data-touch="(byTouch && canWrite) || null" :data-drop="dropping || null" data-keys="Mod+Shift+F Mod+\`"
         @dragover="dragOver" @dragleave.self="dropping = false" @drop="drop">
      <div ref="screen" class="dx-terminal-screen" @contextmenu.capture.stop.prevent="menu"></div>
      <People ref="people" :company="company" :you="you" :can-write="canWrite" :refused="refused" @give="attachment.give($event)" @done="focus"></People>
      <SearchBox v-if="searching" ref="search" :term="term" :finder="screen.finding" :first="sought" @close="closeSearch"></SearchBox>
      <div v-else-if="note" class="dx-terminal-note" role="status">{{ note }}</div>
      <TouchKeys v-if="byTouch && canWrite" ref="touch" :term="term" @paste="actions().paste()"></TouchKeys>
    </div>`,
  props: { replId: String, terminalId: String, before: Array },
  emits: ["title", "open"],
  data() {
    return { state: "connecting", searching: false, sought: "", said: "", dropping: false, byTouch: BY_TOUCH, company: ALONE, you: 0, canWrite: true, refused: null };
  },
  computed: {
    note() {
      return this.said || (this.state === "reconnecting" && !this.canWrite ? RECONNECTING : NOTES[this.state]);
    },
  },
  async mounted() {
    await this.$nextTick(); // NiceGUI knows its path prefix only now
    this.open();
    this.hearKeys();
    if (this.before) await writeBefore(this.term, this.replId, this.before);
    if (!this.$el.isConnected) return; // closed meanwhile
    this.attach();
    this.hearPage();
    this.fit();
  },
  unmounted() {
    window.removeEventListener("pagehide", this.keepKeys);
    window.removeEventListener(COMMAND, this.commanded);
    document.removeEventListener("visibilitychange", this.fit);
    this.stepBack?.();
    clearTimeout(this.naming);
    clearTimeout(this.saying);
    this.sized?.dispose();
    this.attachment?.close();
    this.screen?.dispose();
  },
  methods: {
    open() {
      this.screen = openScreen(this.$refs.screen, { macOptionIsMeta: true }, () => this.fit());
      const term = (this.term = this.screen.term);
      term.textarea.setAttribute("aria-description", LEAVING);
      term.buffer.onBufferChange(({ type }) => (this.$el.dataset.screen = type)); // read by the palette
      term.onTitleChange((title) => this.named(title));
      this.sized = new Sized(term, this.$refs.screen);
      this.links = new FileLinks(term, this.replId, ({ path, line, column }) => this.$emit("open", { path, line, column }));
      setTimeout(() => useWebgl(term), RENDERER_AFTER_MS);
    },
    /** What xterm.js makes of keys is typed, but for the keys that the terminal keeps for itself. */
    hearKeys() {
      this.term.attachCustomKeyEventHandler((event) => this.key(event));
      this.term.onData((data) => this.attachment?.type(ENCODER.encode(this.$refs.touch?.withHeld(data) ?? data)));
      this.term.onBinary((data) => this.attachment?.type(Uint8Array.from(data, (character) => character.charCodeAt(0))));
      this.$refs.screen.addEventListener("paste", (event) => this.paste(event), true);
    },
    attach() {
      this.decoded = outputDecoder();
      const path = (after) => `${replUrl(this.replId)}/terminals/${this.terminalId}?after=${after}`;
      const on = {
        ready: this.ready,
        output: this.draw,
        gap: this.drawGap,
        modes: (bytes) => this.term.write(bytes),
        exited: this.drawEnding,
        size: this.setSize,
        people: this.setCompany,
        refused: (about) => (this.refused = about),
        unkept: (count) => this.say(`${count.toLocaleString("en")} bytes are too many to keep until the connection is back. Paste them again then.`),
        state: (state) => (this.state = state),
      };
      this.attachment = new Attachment(path, on, takeKeys(this.replId, this.terminalId));
    },
    hearPage() {
      window.addEventListener("pagehide", this.keepKeys);
      window.addEventListener(COMMAND, this.commanded);
      document.addEventListener("visibilitychange", this.fit);
      this.stepBack = joinTerminals(this.$el);
    },

    // What comes from the REPL
    ready({ cols, rows, kind, can_write: canWrite, you }) {
      this.isShell = kind === "shell";
      Object.assign(this, { canWrite, you, company: ALONE });
      this.term.resize(cols, rows);
      this.fit();
    },
    draw(bytes, rendered) {
      this.term.write(this.decoded(this.isCut ? understood(bytes) : bytes), rendered);
      this.isCut = false;
    },
    /** Marked among what has scrolled by, and said: a full-screen program has no room for marks. */
    drawGap(count, isBehindSome) {
      this.decoded = outputDecoder();
      if (count < 0) return this.term.reset();
      this.isCut = true;
      this.term.write(markOf(count, isBehindSome));
      this.say(missingWords(count));
    },
    drawEnding(about) {
      if (this.ended === about.status) return; // said again after each reconnect
      this.ended = about.status;
      this.term.write(`${AS_BEFORE}\r\n\x1b[0;2m${ending(about)}\x1b[0m\r\n\x1b[?25l`);
    },
    setSize(cols, rows) {
      this.term.resize(cols, rows);
      this.sized.fit(roomIn(this.$refs.screen, this.screen.fitting));
    },
    setCompany(about) {
      this.company = about;
      this.sized.hasCompany = about.people.length > 0;
    },
    named(title) {
      this.title = plainTitle(title);
      this.naming ??= setTimeout(() => {
        this.naming = undefined;
        this.$emit("title", this.title);
      }, TITLE_MS);
    },

    // What the user does
    key(event) {
      const own = event.type === "keydown" && ownKey(event);
      if (!own) return true;
      if (own === "paste") return false; // the browser pastes: the paste event brings the text
      event.preventDefault();
      event.stopPropagation();
      this.actions()[own]();
      return false;
    },
    /** By the names of keys.mjs, menu.mjs and COMMANDS. */
    actions() {
      return {
        copy: () => this.copy(),
        paste: async () => this.pasteText(await clipboardText()),
        selectAll: () => this.term.selectAll(),
        find: () => this.openSearch(),
        clear: () => this.clear(),
        openLinks: () => this.openLinks(),
        rename: () => this.rename(),
        downloadText: () => downloadRecord(this.replId, this.terminalId, "text"),
        downloadCast: () => downloadRecord(this.replId, this.terminalId, "cast"),
        settings: openSettings,
        takeOver: () => this.$refs.people.takeOver(),
        readOut: () => changeSettings({ forScreenReader: !currentSettings().forScreenReader }),
        leave: () => this.leave(),
        larger: () => stepFont(1),
        smaller: () => stepFont(-1),
        usual: () => stepFont(0),
      };
    },
    /** A command of the page, for the terminal that is used. */
    commanded(event) {
      const own = COMMANDS[event.detail];
      if (!own || event.defaultPrevented || !isFront(this.$el)) return;
      event.preventDefault();
      this.actions()[own]();
    },
    menu(event) {
      if (this.term.modes.mouseTrackingMode !== "none" && !event.shiftKey) return; // the program has it
      const box = this.$el.getBoundingClientRect();
      const at = event.clientX ? { x: event.clientX, y: event.clientY } : { x: box.left + 40, y: box.top + 20 };
      openMenu(menuItems({ hasSelection: this.term.hasSelection(), canWrite: this.canWrite, isNamed: this.isShell, does: this.actions() }), at);
    },
    copy() {
      const text = this.term.getSelection();
      if (text) copyText(text);
    },
    paste(event) {
      const text = event.clipboardData?.getData("text/plain");
      if (!text) return;
      event.preventDefault();
      event.stopPropagation();
      this.pasteText(text);
    },
    async pasteText(text) {
      const clean = cleanedPaste(text);
      if (clean && (await sureToPaste(clean, this.term.modes.bracketedPasteMode))) this.term.paste(clean);
      this.focus();
    },
    /** The links by keyboard, as a menu. */
    async openLinks() {
      const links = await this.links.listed();
      const items = links.map(({ address, path, line, column }) =>
        address
          ? { label: address, icon: "external", run: () => window.open(address, "_blank", "noopener,noreferrer") }
          : { label: `${path}:${line}`, icon: "file", run: () => this.$emit("open", { path, line, column }) },
      );
      const { left, top } = this.$el.getBoundingClientRect();
      if (items.length) openMenu(items, { x: left + 40, y: top + 20 });
      else this.say("No file with a line, and no web address, is named here.");
    },
    async rename() {
      try {
        await renameTerminal(this.replId, this.terminalId);
      } catch (failed) {
        this.say(wordsOf(failed));
      }
      this.focus();
    },
    dragOver(event) {
      if (!this.canWrite || !isDroppable(event.dataTransfer)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      this.dropping = true;
    },
    async drop(event) {
      this.dropping = false;
      if (!this.canWrite || !isDroppable(event.dataTransfer)) return;
      event.preventDefault();
      try {
        const words = await wordsOfDrop(this.replId, this.links.folder, event.dataTransfer, ({ done, of, sent, bytes }) =>
          this.say(`Uploading ${done} of ${of}, ${Math.floor((100 * sent) / bytes)} %`),
        );
        if (words) this.term.paste(words);
        this.said = "";
      } catch (failed) {
        this.say(wordsOf(failed));
      }
      this.focus();
    },
    /** For a moment. */
    say(words) {
      this.said = words;
      clearTimeout(this.saying);
      this.saying = setTimeout(() => (this.said = ""), SAID_MS);
    },
    /** This viewer's screen and what scrolled out of it, but for the line of the prompt. */
    clear() {
      this.term.clear();
      this.focus();
    },
    /** The way out by keyboard: Tab is the program's. */
    leave() {
      const tab = this.$el.closest("[role=tabpanel]")?.getAttribute("aria-labelledby");
      if (tab) document.getElementById(tab).focus();
      else document.activeElement.blur();
    },
    fit() {
      if (!this.attachment) return;
      const room = roomIn(this.$refs.screen, this.screen.fitting);
      this.attachment.resize(room?.cols ?? 0, room?.rows ?? 0); // hidden: somebody else's size counts
      this.sized.fit(room);
    },
    keepKeys({ persisted }) {
      if (!persisted) keepKeys(this.replId, this.terminalId, this.attachment.kept); // else this page itself comes back
    },
    focus() {
      this.term?.focus();
    },
    openSearch() {
      this.sought = this.term.getSelection().split("\n")[0] || this.sought;
      if (this.searching) this.$refs.search.ask(this.sought);
      this.searching = true;
    },
    closeSearch() {
      this.sought = this.$refs.search.typed;
      this.searching = false;
      this.focus();
    },
  },
};
