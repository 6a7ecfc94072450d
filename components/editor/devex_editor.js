// The editor: tabs of open files over one connection. A tab keeps its view, so switching is immediate.
import { Documents, TextView, keepTyped, onHandedOver, recall, remember, takeTyped } from "devex-bundle/editor.js";
import { COMMAND } from "devex-bundle/palette.js";
import { EVENT, call, encodePath, fileUrl, replUrl, wordsOf } from "devex-bundle/repl.js";

const OFFLINE_AFTER_MS = 700; // a short cut heals unseen
const SHOWN_SAVED_MS = 1500;
const LOOK_AGAIN_MS = 500; // for a file that is being brought back: later than an answer takes
const WHY = {
  binary: ["This file is not text.", "Download it to look at it."],
  "too-large": ["This file is larger than 5 MB.", "Download it, or open it in a terminal."],
  missing: ["This file does not exist any more.", "Close the tab, or create the file again."],
  arriving: ["This file is being brought back from the store.", "It opens by itself as soon as it is there."],
  refused: ["This file cannot be opened in the editor.", "Use the terminal for links, pipes and folders outside."],
};

export default {
  template: `
    <div class="dx-editor">
      <div v-if="tabs.length" ref="bar" class="dx-editor-tabs" @keydown="tabKey" @wheel.passive="wheel">
        <span role="tablist" aria-label="Open files" :aria-owns="tabs.map((tab) => idOf(tab, 'tab')).join(' ')"></span>
        <div v-for="tab in tabs" :key="tab.id" class="dx-editor-tab" :data-active="tab.path === active || null" :data-dirty="tab.dirty || null" :title="tab.path"
             @mousedown.middle.prevent @auxclick="$event.button === 1 && close(tab.path)">
          <button type="button" role="tab" :id="idOf(tab, 'tab')" :aria-selected="tab.path === active" :aria-controls="idOf(tab, 'view')" :tabindex="tab.path === active ? 0 : -1" :data-path="tab.path" @click="activate(tab.path, true)">
            <span class="dx-editor-name">{{ tab.name }}</span><span v-if="where(tab)" class="dx-editor-where">{{ where(tab) }}</span>
          </button>
          <button type="button" class="dx-editor-close" tabindex="-1" :aria-label="'Close ' + tab.name + (tab.dirty ? ' (not saved yet)' : '')" :title="tab.dirty ? 'Not saved yet' : 'Close'" @click="close(tab.path)"><i class="dx-i dx-i-close"></i></button>
        </div>
      </div>
      <div v-if="offline && tabs.length" class="dx-editor-banner" role="status">Reconnecting… your typing is kept.</div>
      <div v-if="banner" class="dx-editor-banner" role="alert" :data-tone="banner.tone">{{ banner.text }}</div>
      <div v-if="canPutBack" class="dx-editor-banner" role="alert">The sandbox was lost with what was saved last of this file, but this page still has it.
        <button type="button" class="dx-btn dx-btn-small" @click="putBack">Put it back</button></div>
      <div class="dx-editor-body">
        <div v-for="tab in tabs" :key="tab.id" v-show="tab.path === active" class="dx-editor-view" role="tabpanel" :id="idOf(tab, 'view')" :aria-labelledby="idOf(tab, 'tab')">
          <div :ref="(element) => keepHost(tab.id, element)" class="dx-editor-view" :hidden="tab.state === 'refused'"></div>
          <div v-if="tab.state === 'refused'" class="dx-editor-empty">
            <strong>{{ why(tab)[0] }}</strong><span>{{ why(tab)[1] }}</span>
            <span class="dx-editor-actions">
              <a v-if="tab.reason !== 'missing'" class="dx-btn" :href="fileUrl(replId, tab.path)" download>Download</a>
              <button v-if="tab.dirty" type="button" class="dx-btn" @click="keepText(tab)">Download what you typed</button>
            </span>
          </div>
        </div>
        <div v-if="!tabs.length" class="dx-editor-empty"><strong>No file is open</strong><span>Choose one from the files, or press <kbd>Ctrl+P</kbd> to find it by name.</span></div>
      </div>
      <div class="dx-sr" role="status">{{ said }}</div>
      <Teleport v-if="savedIn" defer :to="'#' + savedIn"><span v-if="saved[0]" :data-tone="saved[1]" :title="saved[2] ?? saved[0]">{{ saved[0] }}</span></Teleport>
      <Teleport v-if="cursorIn" defer :to="'#' + cursorIn"><span v-if="active && cursor">Ln {{ cursor.line }}, Col {{ cursor.column }}</span></Teleport>
    </div>`,
  props: { replId: String, firstFile: String, savedIn: String, cursorIn: String, saveCommand: String },
  data() {
    return { tabs: [], active: "", offline: false, refusal: "", said: "", cursor: null, restoring: null };
  },
  computed: {
    front() {
      return this.tabs.find(({ path }) => path === this.active);
    },
    saved() {
      const tab = this.front;
      if (!tab || tab.state === "opening") return ["", "none"];
      const reason = tab.state === "refused" ? this.why(tab)[0] : tab.notice.message;
      if (tab.state === "refused" && !tab.dirty) return ["", "none"]; // it says so itself, and nothing is unsaved
      if (reason) return [reason, tab.readOnly ? "warn" : "danger"];
      if (tab.readOnly) return ["Read-only", "warn"];
      return tab.dirty ? ["Saving…", "none"] : ["Saved to disk", "ok", "This file is on disk as it is seen here."];
    },
    /** A workspace that was lost came back as of `restoring.at`: without what was saved in this tab between that and the loss. */
    canPutBack() {
      const { restoring, front } = this;
      return Boolean(
        front?.keptAtMs && !front.readOnly && restoring?.done &&
        front.keptAtMs >= Date.parse(restoring.at) && front.keptAtMs < Date.parse(restoring.began_at),
      );
    },
    isArriving() {
      return Boolean(this.restoring && !this.restoring.done);
    },
    banner() {
      const tab = this.front;
      if (this.refusal) return { text: this.refusal, tone: "danger" };
      if (!tab?.notice.code || tab.state === "refused") return null;
      return { text: tab.notice.message, tone: tab.notice.code === "deleted" ? "warn" : "danger" };
    },
  },
  created() {
    this.open = new Map(); // path -> {file, view, place, id}; not reactive: these are large. `place`: where to go when it is there
    this.hosts = new Map(); // id of a tab -> where its view stands
    this.lastId = 0;
  },
  async mounted() {
    await this.$nextTick(); // NiceGUI knows its path prefix only now
    this.documents = new Documents(`${replUrl(this.replId)}/documents`, { onOnline: (online) => this.setOnline(online) });
    window.addEventListener(COMMAND, this.commanded);
    window.addEventListener(EVENT, this.heard);
    window.addEventListener("beforeunload", this.beforeLeaving);
    window.addEventListener("pagehide", this.leaving);
    const { paths, active } = recall(this.replId);
    const typed = takeTyped(this.replId);
    for (const path of new Set([...paths, ...typed.keys()])) this.addTab(path, typed.get(path));
    if (!paths.length && this.firstFile) this.addTab(this.firstFile);
    this.endTaking = onHandedOver(this.replId, (texts) => texts.forEach((typed) => this.take(typed)));
    const wanted = this.wanted ?? [paths.includes(active) ? active : this.tabs[0]?.path];
    if (!this.active && wanted[0]) this.openFile(...wanted);
  },
  unmounted() {
    window.removeEventListener(COMMAND, this.commanded);
    window.removeEventListener(EVENT, this.heard);
    window.removeEventListener("beforeunload", this.beforeLeaving);
    window.removeEventListener("pagehide", this.leaving);
    this.leaving();
    this.endTaking?.();
    clearTimeout(this.offlineTimer);
    clearTimeout(this.looking);
    for (const { view } of this.open.values()) view?.destroy();
    this.documents?.close();
  },
  methods: {
    // what Python calls
    openFile(path, line = null, column = null) {
      if (!this.documents) return void (this.wanted = [path, line, column]);
      if (!this.open.has(path)) this.addTab(path);
      const one = this.open.get(path);
      if (one.file.state === "refused") this.documents.sendOpen(one.file);
      this.activate(path);
      one.place = line && [line, column];
      if (line && one.view) this.goTo(one);
    },
    closeFile(gone) {
      for (const { path } of this.within(gone)) this.drop(path);
    },
    moveFile(from, to) {
      for (const { path } of this.within(from)) {
        const { file } = this.open.get(path);
        if (!file.channel) this.documents.move(file, to + path.slice(from.length)); // the server tells of the others
      }
    },
    within(path) {
      return this.tabs.filter((tab) => tab.path === path || tab.path.startsWith(`${path}/`));
    },
    focusEditor() {
      this.open.get(this.active)?.view?.focus();
    },

    // leaving: what the server does not have is kept in this browser, or the user is asked
    beforeLeaving(event) {
      if (!keepTyped(this.replId, this.documents.undelivered(), { probe: true })) event.preventDefault();
    },
    leaving() {
      if (this.documents) keepTyped(this.replId, this.documents.undelivered());
    },

    /** Of a workspace that came up empty files arrive, small ones first: what was looked for too early is looked for again. */
    heard({ detail }) {
      const restoring = detail.type === "restoring" ? detail : detail.type === "hello" ? detail.restoring : null;
      if (!restoring || restoring.path !== null) return;
      this.restoring = restoring;
      if (!this.looking) this.looking = setTimeout(() => this.lookAgain(), LOOK_AGAIN_MS);
    },
    lookAgain() {
      this.looking = null;
      for (const { file } of this.open.values()) if (file.state === "refused" && file.reason === "missing") this.documents.sendOpen(file);
    },

    // tabs
    addTab(path, pending, typed = null) {
      if (this.open.has(path)) return;
      const id = ++this.lastId;
      this.tabs.push({ id, path, name: path.split("/").pop(), dirty: false, state: "opening", reason: "", readOnly: false, notice: { code: "", message: "" } });
      const file = this.documents.open(path, pending, typed);
      this.open.set(path, { file, view: null, place: null, id });
      file.onReplica = () => this.showReplica(file.path);
      file.onState = () => this.refresh(file.path);
      file.onMoved = (to) => this.follow(file.path, to);
    },
    /** A text that was typed into while the REPL did not run goes on here. */
    take(typed) {
      const { path, caret } = typed;
      const pending = this.documents.undelivered().find((one) => one.path === path)?.changes;
      if (this.open.has(path)) this.drop(path);
      this.addTab(path, pending, typed);
      this.$nextTick(() => {
        this.showReplica(path);
        this.open.get(path).view.caret = caret;
      });
      this.activate(path, true);
    },
    activate(path, focus = false) {
      this.active = path;
      this.refusal = "";
      this.cursor = null; // until this file's view tells
      this.remember();
      this.$nextTick(() => {
        const one = this.open.get(path);
        one?.view?.measure();
        if (focus) one?.view?.focus();
        this.$refs.bar?.querySelector("[data-active]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
        one?.view?.tellCursor();
      });
      if (path) this.$emit("active", { path });
    },
    close(path) {
      const at = this.tabs.findIndex((tab) => tab.path === path);
      if (at < 0) return;
      if (this.documents.undelivered().some((one) => one.path === path) && !window.confirm(`“${this.tabs[at].name}” has changes that are not saved. Close it and lose them?`)) return;
      this.drop(path);
    },
    drop(path) {
      const at = this.tabs.findIndex((tab) => tab.path === path);
      if (at < 0) return;
      const { file, view, id } = this.open.get(path);
      view?.destroy();
      this.documents.forget(file);
      this.open.delete(path);
      this.hosts.delete(id);
      this.tabs.splice(at, 1);
      const next = path === this.active ? (this.tabs[at] ?? this.tabs[at - 1])?.path ?? "" : this.active;
      this.activate(next, path === this.active);
    },
    follow(from, to) {
      this.drop(to); // replaced
      const one = this.open.get(from);
      this.open.delete(from);
      this.open.set(to, one);
      Object.assign(this.tabs.find((tab) => tab.path === from), { path: to, name: to.split("/").pop() });
      one.view?.rename(to);
      if (this.saving === from) this.saving = to;
      if (this.active === from) this.activate(to);
      else this.remember();
    },
    remember() {
      remember(this.replId, this.tabs.map((tab) => tab.path), this.active);
    },
    tabKey(event) {
      const at = this.tabs.findIndex(({ path }) => path === event.target.dataset.path);
      if (at < 0) return;
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: this.tabs.length - 1 }[event.key];
      if (to !== undefined) {
        event.preventDefault();
        const { path } = this.tabs[(to + this.tabs.length) % this.tabs.length];
        this.activate(path);
        this.$nextTick(() => this.focusTab());
      } else if (event.key === "Delete") {
        event.preventDefault();
        this.close(this.tabs[at].path);
        this.$nextTick(() => this.focusTab());
      }
    },
    focusTab() {
      this.$refs.bar?.querySelector("[aria-selected=true]")?.focus();
    },
    wheel(event) {
      this.$refs.bar.scrollLeft += event.deltaY;
    },

    // files
    keepHost(id, element) {
      if (element) this.hosts.set(id, element);
    },
    async showReplica(path) {
      const one = this.open.get(path);
      if (!one) return;
      if (!one.view) {
        const host = this.hosts.get(one.id);
        one.view = new TextView(host, path, {
          onCursor: (line, column) => one.file.path === this.active && (this.cursor = { line, column }),
          onRefused: (sentence) => (this.refusal = sentence),
        });
      }
      one.view.show(one.file.text, one.file.readOnly);
      one.view.tellCursor();
      if (one.place) this.goTo(one);
    },
    goTo(one) {
      const { place } = one;
      one.place = null;
      this.$nextTick(() => {
        one.view.goTo(...place);
        one.view.focus();
      });
    },
    refresh(path) {
      const one = this.open.get(path);
      const tab = this.tabs.find((each) => each.path === path);
      if (!one || !tab) return;
      const { dirty, state, reason, readOnly, notice, pending, kept } = one.file;
      Object.assign(tab, { dirty: dirty || pending.length > 0, state, reason, readOnly, notice, keptAtMs: kept?.atMs });
      one.view?.setReadOnly(readOnly);
      if (this.saving === path && (!dirty || notice.code)) this.showSaved(notice);
    },
    /** As a change of what came back, so that what others have done since stays. */
    async putBack() {
      const { file } = this.open.get(this.active);
      const { text } = file.kept;
      this.refusal = "";
      try {
        if (file.state === "refused") {
          await call(fileUrl(this.replId, file.path), { method: "PUT", headers: { "If-None-Match": "*" }, body: text }).catch(unless(412));
          this.documents.sendOpen(file);
        } else {
          const url = `${replUrl(this.replId)}/snapshots/${this.restoring.version}/file?path=${encodePath(file.path)}`;
          const found = await call(url).catch(unless(404));
          this.documents.putBack(file, new Uint8Array(found ? await found.arrayBuffer() : 0), text);
        }
      } catch (failed) {
        this.refusal = wordsOf(failed);
      }
    },
    commanded(event) {
      if (event.detail !== this.saveCommand) return;
      event.preventDefault(); // done here: Python need not hear of it
      this.save();
    },
    save() {
      const one = this.open.get(this.active);
      if (!one) return;
      this.refusal = "";
      if (this.documents.flush(one.file)) this.saving = this.active;
      else if (one.file.state === "open") this.refusal = "Not saved: there is no connection. Your typing is kept and saved later.";
    },
    showSaved(notice) {
      this.saving = null;
      this.said = notice.message || "Saved";
      setTimeout(() => (this.said = ""), SHOWN_SAVED_MS);
    },
    setOnline(online) {
      clearTimeout(this.offlineTimer);
      if (online) this.offline = false;
      else this.offlineTimer = setTimeout(() => (this.offline = true), OFFLINE_AFTER_MS);
    },

    // words
    fileUrl,
    idOf(tab, part) {
      return `dx-editor-${part}-${this.$.uid}-${tab.id}`;
    },
    where(tab) {
      const twins = this.tabs.filter(({ name }) => name === tab.name).length > 1;
      return twins ? tab.path.slice(0, -tab.name.length - 1) || "." : "";
    },
    why(tab) {
      return WHY[tab.reason === "missing" && this.isArriving ? "arriving" : tab.reason] ?? WHY.refused;
    },
    keepText(tab) {
      const text = this.open.get(tab.path).file.text.toString();
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text])), download: tab.name });
      link.click();
      URL.revokeObjectURL(link.href);
    },
  },
};

/** For catch(): undefined where that was the answer's status. */
function unless(status) {
  return (failed) => {
    if (failed.status !== status) throw failed;
  };
}
