// The files of a version: those that changed in it, all of them, folder by folder, or those that say something.
import { callJson, encodePath, replUrl, wordsOf } from "../repl/http.mjs";
import { changeWords, counted, sizeWords } from "./words.mjs";

const AT_ONCE = 500; // rows: the page stands still while it makes thousands
const ICONS = { d: "folder", l: "link" };
const LABELS = { changed: "Changed files", all: "Files of this version", found: "Files in which it was found" };
const folderOf = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** `pick` tells what was chosen, {path, kind, isGone} or null, and whether one wants to see it; `offer` what could be. */
export const Files = {
  template: `
    <div class="dx-segments" role="group" aria-label="Which files">
      <button type="button" :aria-pressed="view === 'changed'" @click="look('changed')">{{ changes ? 'Changed (' + changes.changes.length + (changes.more ? '+' : '') + ')' : 'Changed' }}</button>
      <button type="button" :aria-pressed="view === 'all'" @click="look('all')">All files</button>
    </div>
    <form v-if="view !== 'changed'" class="dx-history-find" role="search" @submit.prevent="find">
      <i class="dx-i dx-i-search"></i><input v-model="query" type="search" aria-label="Find in the files of this version" placeholder="Find in this version" spellcheck="false" @search="query || look('all')">
    </form>
    <div v-if="view === 'all' && folder" class="dx-history-folder"><i class="dx-i dx-i-folder"></i>{{ folder }}</div>
    <div ref="list" class="dx-history-list dx-history-files" role="listbox" tabindex="0" :aria-label="label" :aria-activedescendant="at >= 0 ? idOf(at) : null" @keydown="key">
      <div v-for="(row, index) in rows?.slice(0, most)" :key="row.key" :id="idOf(index)" role="option" :aria-selected="index === at" class="dx-history-file-row" :title="row.title ?? row.path" @click="pick(row, true)">
        <span v-if="row.sign" class="dx-history-sign" :data-tone="row.tone" aria-hidden="true">{{ row.sign }}</span><i v-else :class="'dx-i dx-i-' + row.icon"></i>
        <span class="dx-history-file-name">{{ row.name }}<small v-if="row.where">{{ row.where }}</small></span>
        <span class="dx-sr">{{ row.words }}</span>
        <small>{{ row.size }}</small>
      </div>
    </div>
    <div v-if="rows?.length > most" class="dx-history-end"><button type="button" class="dx-btn dx-btn-small" @click="most += AT_ONCE">Show more of {{ rows.length.toLocaleString('en') }}</button></div>
    <div class="dx-history-end" role="status"><span v-if="!rows && !problem" class="dx-spin"></span>{{ said }}</div>`,
  props: { replId: String, version: String, since: String, picked: String },
  emits: ["pick", "offer"],
  data() {
    return { view: "changed", changes: null, folder: "", tree: null, query: "", found: null, problem: "", most: AT_ONCE, AT_ONCE };
  },
  computed: {
    label() {
      return LABELS[this.view];
    },
    /** What the list is about. */
    pair() {
      return `${this.version} ${this.since}`;
    },
    rows() {
      if (this.view === "changed") return this.changes?.changes.map(changeRow);
      if (this.view === "found") return this.found?.matches.map(foundRow);
      return this.tree && [...(this.folder ? [upRow(this.folder)] : []), ...this.tree.entries.map((entry) => entryRow(this.folder, entry))];
    },
    at() {
      return this.rows?.findIndex(({ path, isUp }) => path === this.picked && !isUp) ?? -1;
    },
    said() {
      if (this.problem) return this.problem;
      if (!this.rows) return "Looking…";
      if (this.view === "changed") {
        if (this.changes.more) return `Only the first ${counted(this.rows.length, "change")} are listed. All files of the version are under “All files”.`;
        return this.rows.length ? "" : "No file changed.";
      }
      if (this.view === "found") {
        if (!this.rows.length) return this.found.complete ? "Nothing found." : "Nothing found in the part of the files that was searched.";
        return this.found.complete ? "" : "There is more than this.";
      }
      if (!this.tree.complete) return `This folder holds more than can be listed: only the first ${this.tree.entries.length.toLocaleString("en")} are here. Download it to see all.`;
      return this.tree.entries.length ? "" : "This folder is empty.";
    },
  },
  watch: {
    pair() {
      Object.assign(this, { changes: null, tree: null, found: null });
      if (this.view === "found") this.find();
      else this.look(this.view);
    },
  },
  mounted() {
    this.look("changed");
  },
  unmounted() {
    this.asking?.abort();
  },
  methods: {
    async look(view) {
      if (view === "all" && this.view === "changed") this.folder = folderOf(this.picked);
      this.query = "";
      await this.ask(view, async (where, options) => {
        if (view === "all") {
          this.tree = null;
          this.tree = await this.treeOf(where, options);
        }
        this.changes ??= await callJson(`${where}/changes${this.since && `?since=${this.since}`}`, options); // their number is always shown
      });
      if (!this.problem) this.pickAgain();
    },
    /** The folder as it was; another one where this version has none of that name. */
    async treeOf(where, options) {
      try {
        return await callJson(`${where}/tree?path=${encodePath(this.folder)}`, options);
      } catch (failed) {
        if (!this.folder || failed.status !== 404) throw failed;
        this.folder = "";
        return callJson(`${where}/tree?path=`, options);
      }
    },
    find() {
      const query = this.query.trim();
      if (!query) return this.look("all");
      this.found = null;
      return this.ask("found", async (where, options) => {
        this.found = await callJson(`${where}/search?q=${encodeURIComponent(query)}`, options);
      });
    },
    /** One question at a time: what was asked before is of no use any more. */
    async ask(view, question) {
      this.asking?.abort();
      const { signal } = (this.asking = new AbortController());
      Object.assign(this, { view, problem: "", most: AT_ONCE });
      try {
        await question(`${replUrl(this.replId)}/snapshots/${this.version}`, { signal });
      } catch (failed) {
        if (!signal.aborted) this.problem = wordsOf(failed);
      }
    },
    /** What was compared before if it is here as well; else, of what changed, the first file. */
    pickAgain() {
      if (!this.rows) return;
      const here = this.view === "all" ? this.folder && { path: this.folder, kind: "d" } : this.rows.find(({ kind }) => kind !== "d");
      this.$emit("offer", pickedOf(this.rows[this.at] ?? here));
    },
    pick(row, byHand = false) {
      const isEntered = byHand && row.kind === "d" && this.view === "all";
      this.$emit("pick", pickedOf(row), byHand && !isEntered);
      if (!isEntered) return;
      this.folder = row.path;
      this.look("all");
    },
    key(event) {
      const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, Home: 0, End: Math.min(this.rows?.length ?? 0, this.most) - 1 }[event.key];
      if (to >= this.most) this.most += AT_ONCE;
      if (event.key === "Enter" && this.rows?.[this.at]) this.pick(this.rows[this.at], true);
      else if (to === undefined) return;
      else if (this.rows?.[to]) this.pick(this.rows[to]);
      event.preventDefault();
      this.$nextTick(() => document.getElementById(this.idOf(this.at))?.scrollIntoView({ block: "nearest" }));
    },
    idOf(index) {
      return `dx-history-file-${this.$.uid}-${index}`;
    },
    focus() {
      this.$refs.list.focus();
    },
  },
};

const pickedOf = (row) => (row?.path ? { path: row.path, kind: row.kind, isGone: Boolean(row.isGone) } : null);

function changeRow([path, before, after]) {
  const [kind, size] = after ?? before;
  const shown = { key: path, path, kind, isGone: !after, name: nameOf(path) + (kind === "d" ? "/" : ""), where: folderOf(path) };
  return { ...shown, ...changeWords(before, after), size: kind === "d" ? "" : sizeWords(size) };
}

function entryRow(folder, [name, kind, size]) {
  const path = folder ? `${folder}/${name}` : name;
  return { key: path, path, kind, name, icon: ICONS[kind] ?? "file", words: "", size: kind === "d" ? "" : sizeWords(size) };
}

function upRow(folder) {
  return { key: "..", path: folderOf(folder), kind: "d", isUp: true, name: "..", title: "The folder above", icon: "up", words: "the folder above", size: "" };
}

function foundRow({ path, line, text }, index) {
  return { key: index, path, kind: "f", name: nameOf(path), where: `${line}: ${text.trim()}`, title: `${path}, line ${line}`, icon: "search", words: "", size: "" };
}
