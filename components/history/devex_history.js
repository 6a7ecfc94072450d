// The history of a REPL: a timeline of its versions, the files of one, and one of these compared; with the ways back.
import {
  SHOW_HISTORY, SIDE_BY_SIDE_PX, Versions, ago, asked, byDay, changeWords, clock, compared, confirmed, counted, doneWords, exactly, planWords,
  readText, reasonWords, sizeWords,
} from "devex-bundle/history.js";
import { COMMAND } from "devex-bundle/palette.js";
import { EVENT, call, callJson, encodePath, fileUrl, replUrl, serverUrl, wordsOf } from "devex-bundle/repl.js";

const NEAR_END_PX = 400; // of the timeline: older versions are fetched before it is reached
const NAME_CHARS = 100; // the server's
const AGO_EVERY_MS = 20_000;
const STAYS = new Set(["history", "save-version", "save", "theme", "extend"]); // commands that bring nothing else to the front
const folderOf = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
const NOTHING = { state: "none", said: "Choose a file to compare." };

export default {
  template: `
    <section v-if="isOpen" ref="root" class="dx-history" tabindex="-1" aria-label="History" :data-step="step" @keydown.esc="escaped">
      <header class="dx-history-bar">
        <button v-if="step !== 'versions'" type="button" class="dx-btn dx-btn-quiet dx-btn-icon dx-history-back" aria-label="Back" title="Back" @click="back"><i class="dx-i dx-i-back"></i></button>
        <h2 class="dx-subtitle" :title="path">{{ path ? 'History of ' + path : 'History' }}</h2>
        <button v-if="path" type="button" class="dx-btn dx-btn-quiet dx-btn-small" @click="show('')">All files</button>
        <span class="dx-grow"></span>
        <button v-if="writable" type="button" class="dx-btn dx-btn-small" :disabled="Boolean(busy)" @click="save">Save a version now</button>
        <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Close the history" title="Close (Esc)" @click="close(true)"><i class="dx-i dx-i-close"></i></button>
      </header>
      <div class="dx-history-said" role="status" :data-tone="said.tone">
        <template v-if="busy"><span class="dx-spin"></span><span class="dx-grow">{{ busy }}</span></template>
        <template v-else-if="said.text">
          <div class="dx-grow">{{ said.text }}
            <details v-if="said.notes.length"><summary>{{ said.noted === 1 ? 'One was' : said.noted + ' were' }} left as they are</summary>
              <ul><li v-for="[where, why] in said.notes" :key="where"><code>{{ where }}</code> {{ why }}</li></ul></details></div>
          <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Dismiss" title="Dismiss" @click="say('')"><i class="dx-i dx-i-close"></i></button>
        </template>
      </div>
      <div class="dx-history-body">
        <div class="dx-history-versions" @scroll.passive="scrolled">
          <div ref="timeline" class="dx-history-list" role="listbox" tabindex="0" aria-label="Versions" :aria-activedescendant="chosen ? idOf('version', chosen.version) : null" @keydown="versionKey">
            <div v-for="group in days" :key="group.day" role="group" :aria-label="group.day">
              <div class="dx-history-day" aria-hidden="true">{{ group.day }}</div>
              <div v-for="one in group.versions" :key="one.version" :id="idOf('version', one.version)" role="option" :aria-selected="one.version === chosen?.version" class="dx-history-row" @click="choose(one, true)">
                <span class="dx-history-when" :title="exactly(one.at)"><strong>{{ clock(one.at) }}</strong><span>{{ ago(one.at, now) }}</span></span>
                <span v-if="one.name" class="dx-history-name"><i class="dx-i dx-i-bookmark"></i>{{ one.name }}</span>
                <span>{{ reason(one) }}</span>
                <span class="dx-history-facts">{{ facts(one) }}</span>
              </div>
            </div>
          </div>
          <div class="dx-history-end">
            <template v-if="loading"><span class="dx-spin"></span>Looking…</template>
            <template v-else-if="problem">{{ problem }} <button type="button" class="dx-btn dx-btn-small" @click="more">Try again</button></template>
            <template v-else-if="isWhole && !listed.length">{{ path ? 'No version holds this file yet.' : 'No version is stored yet. The first one follows half a minute after a change.' }}</template>
            <template v-else-if="isWhole">{{ path ? 'Before this, it was not there.' : 'This is the oldest version.' }}</template>
            <button v-else type="button" class="dx-btn dx-btn-small" @click="more">Older versions</button>
          </div>
        </div>
        <div class="dx-history-version">
          <template v-if="chosen">
            <div class="dx-history-about">
              <strong>{{ chosen.name || exactly(chosen.at) }}</strong>
              <span v-if="chosen.name">{{ exactly(chosen.at) }}</span>
              <span>{{ reason(chosen) }}{{ chosen.author ? ', by ' + chosen.author : '' }}</span>
              <span>Version {{ chosen.version }}, {{ counted(chosen.files, 'file') }}, {{ sizeWords(chosen.size_bytes) }}</span>
              <details v-if="chosen.noted"><summary>{{ chosen.noted === 1 ? 'One is' : chosen.noted + ' are' }} not in it as they were</summary>
                <ul><li v-for="[where, why] in chosen.notes" :key="where"><code>{{ where }}</code> {{ why }}</li></ul></details>
              <span v-if="!writable && whyNot">{{ whyNot }}</span>
              <div class="dx-row dx-wrap">
                <button v-for="action in actions" :key="action.label" type="button" class="dx-btn dx-btn-small" :disabled="Boolean(busy)" @click="action.run"><i :class="'dx-i dx-i-' + action.icon"></i>{{ action.label }}</button>
                <a class="dx-btn dx-btn-small" :href="zipUrl('')" download><i class="dx-i dx-i-download"></i>Download</a>
              </div>
            </div>
            <div class="dx-segments" role="group" aria-label="Which files">
              <button type="button" :aria-pressed="view === 'changed'" @click="look('changed')">{{ changes ? 'Changed (' + changes.changes.length + (changes.more ? '+' : '') + ')' : 'Changed' }}</button>
              <button type="button" :aria-pressed="view === 'all'" @click="look('all')">All files</button>
            </div>
            <div ref="files" class="dx-history-list dx-history-files" role="listbox" tabindex="0" :aria-label="view === 'all' ? 'Files of this version' : 'Changed files'" :aria-activedescendant="at >= 0 ? idOf('file', at) : null" @keydown="fileKey">
              <div v-for="(row, index) in rows" :key="row.key" :id="idOf('file', index)" role="option" :aria-selected="index === at" class="dx-history-file-row" :title="row.path" @click="pick(row, true)">
                <span v-if="row.sign" class="dx-history-sign" :data-tone="row.tone" aria-hidden="true">{{ row.sign }}</span><i v-else :class="'dx-i dx-i-' + row.icon"></i>
                <span class="dx-history-file-name">{{ row.name }}<small v-if="row.where">{{ row.where }}</small></span>
                <span class="dx-sr">{{ row.words }}</span>
                <small>{{ row.size }}</small>
              </div>
            </div>
            <div class="dx-history-end" role="status">
              <template v-if="filesProblem">{{ filesProblem }}</template>
              <template v-else-if="!rows">Looking…</template>
              <template v-else-if="!rows.length">{{ view === 'all' ? 'This folder is empty.' : 'No file changed.' }}</template>
              <template v-else-if="view === 'changed' && changes.more">There are more.</template>
            </div>
          </template>
          <div v-else class="dx-history-end">Choose a version to see what changed in it.</div>
        </div>
        <div class="dx-history-compared">
          <div v-if="file" class="dx-history-filebar">
            <strong class="dx-grow" :title="file">{{ file.split('/').pop() }}</strong>
            <div v-if="!isFolder" class="dx-segments" role="group" aria-label="Compare">
              <button type="button" :aria-pressed="against === 'before'" @click="compareWith('before')">What it changed</button>
              <button type="button" :aria-pressed="against === 'now'" @click="compareWith('now')">With now</button>
            </div>
            <template v-if="shown.state === 'shown'">
              <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Change before" title="Change before" @click="go(false)"><i class="dx-i dx-i-up"></i></button>
              <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Next change" title="Next change" @click="go(true)"><i class="dx-i dx-i-down"></i></button>
              <button type="button" class="dx-btn dx-btn-quiet dx-btn-small" :aria-pressed="!folded" @click="unfold">{{ folded ? 'Show all lines' : 'Show changes only' }}</button>
            </template>
            <a v-if="!isGone" class="dx-btn dx-btn-quiet dx-btn-icon" :href="isFolder ? zipUrl(file) : versionUrl(chosen.version, file)" download :aria-label="'Download this version of the ' + kind" :title="'Download this version of the ' + kind"><i class="dx-i dx-i-download"></i></a>
            <button v-if="writable && !(isGone && !before)" type="button" class="dx-btn dx-btn-small" :disabled="Boolean(busy)" @click="restoreFile">{{ isGone ? 'Bring it back' : 'Restore this ' + kind }}</button>
          </div>
          <div v-if="shown.state === 'shown'" class="dx-history-sides" :data-single="shown.sideBySide ? null : ''"><span v-for="label in shown.labels" :key="label">{{ label }}</span></div>
          <div class="dx-editor dx-history-texts">
            <div ref="host" class="dx-editor-view" :hidden="shown.state !== 'shown'"></div>
            <div v-if="shown.state !== 'shown'" class="dx-editor-empty" role="status"><span v-if="shown.state === 'loading'" class="dx-spin"></span>{{ shown.said }}</div>
          </div>
        </div>
      </div>
    </section>`,
  props: { replId: String, writable: Boolean, whyNot: String },
  data() {
    return {
      isOpen: false, path: "", listed: [], isWhole: false, loading: false, problem: "", chosen: null, step: "versions",
      view: "changed", changes: null, folder: "", entries: null, filesProblem: "", file: "", against: "before", folded: true,
      shown: NOTHING, said: { text: "", notes: [], noted: 0, tone: "none" }, busy: "", now: Date.now(),
    };
  },
  computed: {
    days() {
      return byDay(this.listed, this.now);
    },
    /** The next older version that is listed; undefined at the end. */
    before() {
      return this.listed[this.listed.findIndex(({ version }) => version === this.chosen?.version) + 1];
    },
    /** What can be done with the chosen version. A fork leaves this REPL as it is. */
    actions() {
      const fork = { label: "Fork", icon: "fork", run: () => this.fork() };
      if (!this.writable) return [fork];
      return [
        { label: "Restore everything", icon: "restore", run: () => this.restore(this.chosen.version, "") },
        { label: this.chosen.name ? "Rename" : "Name this version", icon: "bookmark", run: () => this.nameIt() },
        fork,
      ];
    },
    rows() {
      return this.view === "all" ? this.entryRows() : this.changes?.changes.map(([path, before, after]) => this.changeRow(path, before, after));
    },
    at() {
      return this.rows?.findIndex(({ path }) => path === this.file) ?? -1;
    },
    change() {
      return this.changes?.changes.find(([path]) => path === this.file);
    },
    isGone() {
      return Boolean(this.change && !this.change[2]);
    },
    kind() {
      return this.isFolder ? "folder" : "file";
    },
    isFolder() {
      if (this.view === "all") return this.file === this.folder || this.rows?.[this.at]?.kind === "d";
      return Boolean(this.change && (this.change[2] ?? this.change[1])[0] === "d");
    },
  },
  mounted() {
    window.addEventListener(EVENT, this.heard);
    window.addEventListener(COMMAND, this.commanded);
    window.addEventListener(SHOW_HISTORY, this.wanted);
    this.ticking = setInterval(() => this.isOpen && (this.now = Date.now()), AGO_EVERY_MS);
  },
  unmounted() {
    window.removeEventListener(EVENT, this.heard);
    window.removeEventListener(COMMAND, this.commanded);
    window.removeEventListener(SHOW_HISTORY, this.wanted);
    clearInterval(this.ticking);
    this.forget();
  },
  methods: {
    ago, clock, counted, exactly, sizeWords,

    // open and closed
    wanted({ detail }) {
      this.open(detail);
    },
    commanded(event) {
      if (event.detail === "history") this.open("");
      else if (event.detail === "save-version") this.save();
      else {
        if (this.isOpen && !STAYS.has(event.detail)) this.close(false);
        return;
      }
      event.preventDefault(); // done here: Python need not hear of it
    },
    heard({ detail }) {
      const stored = detail.type === "hello" ? detail.stored : detail.type === "stored" ? detail : null;
      if (!stored || stored.version === this.newest) return;
      this.newest = stored.version;
      if (this.isOpen && !stored.saving) this.refresh();
    },
    async open(path) {
      if (!this.isOpen) this.focusBack = document.activeElement;
      this.isOpen = true;
      await this.$nextTick();
      this.$refs.timeline.focus();
      await this.show(path);
      if (!this.$refs.root?.contains(document.activeElement)) this.$refs.timeline?.focus(); // a menu took it back as it closed
    },
    close(focusBack) {
      if (!this.isOpen) return;
      this.isOpen = false;
      this.forget();
      if (focusBack) this.$nextTick(() => this.focusBack?.focus?.());
    },
    escaped(event) {
      if (event.defaultPrevented) return; // a search in the text was closed
      event.stopPropagation();
      this.close(true);
    },
    forget() {
      for (const one of ["listing", "filing", "reading"]) this[one]?.abort();
      this.comparison?.destroy();
      this.comparison = null;
    },
    back() {
      this.step = this.step === "compared" && !this.path ? "files" : "versions";
    },

    // versions
    async show(path) {
      this.forget();
      this.versions = new Versions(this.replId, path);
      Object.assign(this, { path, listed: [], isWhole: false, problem: "", step: "versions", view: "changed", against: path ? "now" : "before" });
      this.now = Date.now();
      this.say("");
      this.choose(null);
      await this.more();
    },
    more() {
      return this.list(() => this.versions.more(this.listing.signal));
    },
    refresh() {
      return this.list(() => this.versions.refresh(this.listing.signal));
    },
    async list(ask) {
      this.listing?.abort();
      const { signal } = (this.listing = new AbortController());
      Object.assign(this, { loading: true, problem: "" });
      try {
        const stored = await ask();
        if (signal.aborted) return;
        this.now = Date.now();
        this.newest = stored?.version ?? this.newest;
        if (stored?.crowded && stored.crowded !== this.crowded) this.say(stored.crowded, { tone: "warn" });
        this.crowded = stored?.crowded; // said once, not with every version
        const { listed, isWhole } = this.versions;
        Object.assign(this, { listed, isWhole });
        if (!this.chosen && listed.length) this.choose(this.listed[0]);
        else this.chosen = this.listed.find(({ version }) => version === this.chosen?.version) ?? this.chosen;
      } catch (failed) {
        if (!signal.aborted) this.problem = wordsOf(failed);
      } finally {
        if (!signal.aborted) this.loading = false;
      }
    },
    scrolled({ target }) {
      if (this.loading || this.isWhole || this.problem) return;
      if (target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_END_PX) this.more();
    },
    versionKey(event) {
      const at = this.listed.findIndex(({ version }) => version === this.chosen?.version);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.listed.length - 1 }[event.key];
      if (event.key === "Enter") this.enter("files");
      else if (to === undefined) return;
      else if (this.listed[to]) this.choose(this.listed[to]);
      event.preventDefault();
      this.reveal("version", this.chosen?.version);
    },
    /** `byHand`: where only one part fits, the next one comes to the front. */
    choose(version, byHand = false) {
      const isOther = version?.version !== this.chosen?.version;
      this.chosen = version;
      if (byHand) this.step = this.path ? "compared" : "files";
      if (!isOther) return;
      Object.assign(this, { changes: null, entries: null, filesProblem: "" });
      if (!version) return void this.pickPath("");
      if (this.path) this.pickPath(this.path);
      this.look(this.view);
    },

    // files of a version
    async look(view) {
      this.filing?.abort();
      const { signal } = (this.filing = new AbortController());
      if (view === "all" && this.view !== view) this.folder = folderOf(this.file);
      Object.assign(this, { view, filesProblem: "" });
      const where = `${replUrl(this.replId)}/snapshots/${this.chosen.version}`;
      try {
        if (view === "all") {
          this.entries = null;
          const { entries } = await callJson(`${where}/tree?path=${encodePath(this.folder)}`, { signal });
          if (!signal.aborted) this.entries = entries;
        }
        if (!this.changes) {
          const changes = await callJson(`${where}/changes`, { signal });
          if (!signal.aborted) this.changes = changes;
        }
      } catch (failed) {
        if (signal.aborted) return;
        if (view === "all" && this.folder && failed.status === 404) return this.enterFolder(""); // this version has no such folder
        this.filesProblem = wordsOf(failed);
      }
      if (signal.aborted || this.filesProblem) return;
      if (view === "changed") this.pickAgain();
      else this.compare();
    },
    /** The file that was compared before if it changed here as well; else the first one that did. */
    pickAgain() {
      if (this.path) return;
      const same = this.rows?.find(({ path }) => path === this.file);
      const first = same ?? this.rows?.find(({ kind }) => kind !== "d");
      this.pickPath(first?.path ?? "");
    },
    changeRow(path, before, after) {
      const cut = path.lastIndexOf("/");
      const [kind, size] = after ?? before;
      const shown = { key: path, path, kind, name: path.slice(cut + 1) + (kind === "d" ? "/" : ""), where: folderOf(path) };
      return { ...shown, ...changeWords(before, after), size: kind === "d" ? "" : sizeWords(size) };
    },
    entryRows() {
      const up = this.folder ? [{ key: "..", path: folderOf(this.folder), kind: "d", name: "..", icon: "folder", words: "the folder above", size: "" }] : [];
      return this.entries && [...up, ...this.entries.map(([name, kind, size]) => {
        const path = this.folder ? `${this.folder}/${name}` : name;
        return { key: path, path, kind, name, icon: { d: "folder", l: "link" }[kind] ?? "file", words: "", size: kind === "d" ? "" : sizeWords(size) };
      })];
    },
    fileKey(event) {
      const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, Home: 0, End: (this.rows?.length ?? 0) - 1 }[event.key];
      if (event.key === "Enter" && this.rows?.[this.at]) this.pick(this.rows[this.at], true);
      else if (to === undefined) return;
      else if (this.rows?.[to]) this.pick(this.rows[to]);
      event.preventDefault();
      this.reveal("file", this.at);
    },
    pick(row, byHand = false) {
      if (byHand && row.kind === "d" && this.view === "all") return void this.enterFolder(row.path);
      if (byHand) this.step = "compared";
      this.pickPath(row.path);
    },
    enterFolder(path) {
      this.folder = this.file = path;
      return this.look("all");
    },
    pickPath(path) {
      this.file = path;
      this.compare();
    },

    // one file, compared
    compareWith(against) {
      this.against = against;
      this.compare();
    },
    unfold() {
      this.folded = !this.folded;
      this.compare();
    },
    go(forward) {
      this.comparison?.go(forward);
    },
    async compare() {
      this.reading?.abort();
      const { signal } = (this.reading = new AbortController());
      await this.$nextTick(); // what is computed from the choice is there
      const { file, chosen } = this;
      if (signal.aborted) return;
      if (!file || !chosen) return this.showNothing(NOTHING);
      if (this.isFolder) return this.showNothing({ ...NOTHING, said: this.isGone ? "This folder was deleted." : "This is a folder: its files are under “All files”." });
      this.showNothing({ state: "loading", said: "" });
      try {
        const sides = await this.sides(file, chosen, signal);
        const texts = await Promise.all(sides.map(({ url }) => (url ? readText(url, signal) : { absent: true, text: "" })));
        if (!signal.aborted) await this.showTexts(file, sides.map(({ label }, at) => ({ label, ...texts[at] })), signal);
      } catch (failed) {
        if (!signal.aborted) this.showNothing({ state: "refused", said: wordsOf(failed) });
      }
    },
    /** The older one first: {label, url}, without url where there is none. */
    async sides(file, chosen, signal) {
      const that = { label: this.labelOf(chosen), url: this.versionUrl(chosen.version, file) };
      if (this.against === "now") return [that, { label: "Now", url: fileUrl(this.replId, file) }];
      if (!this.before && !this.isWhole) await this.versions.more(signal).then(() => Object.assign(this, { listed: this.versions.listed, isWhole: this.versions.isWhole }));
      return [this.before ? { label: this.labelOf(this.before), url: this.versionUrl(this.before.version, file) } : { label: "Before" }, that];
    },
    async showTexts(file, [before, after], signal) {
      const refused = [before, after].find((one) => one.refused);
      if (refused) return this.showNothing({ state: "refused", said: `${refused.refused} It can be downloaded and restored.` });
      if (before.absent && after.absent) return this.showNothing({ state: "refused", said: "It is in neither of the two." });
      const sideBySide = this.$refs.host.parentElement.clientWidth >= SIDE_BY_SIDE_PX;
      const same = before.text === after.text && !before.absent && !after.absent;
      const labels = [before, after].map(({ label, absent }) => `${label}${absent ? " (not there)" : ""}`);
      if (same) labels[1] += " (the same)";
      this.shown = { state: "shown", said: "", sideBySide, labels };
      await this.$nextTick();
      if (signal.aborted) return;
      const named = [before, after].map(({ text }, at) => ({ text, label: `${file}, ${labels[at]}` }));
      const comparison = await compared(this.$refs.host, file, ...named, { sideBySide, folded: this.folded && !same, marked: !before.absent && !after.absent });
      if (signal.aborted) comparison.destroy();
      else this.comparison = comparison;
    },
    showNothing(shown) {
      this.comparison?.destroy();
      this.comparison = null;
      this.shown = shown;
    },
    labelOf({ name, at }) {
      return name || exactly(at);
    },
    versionUrl(version, path) {
      return `${replUrl(this.replId)}/snapshots/${version}/file?path=${encodePath(path)}`;
    },

    zipUrl(path) {
      return `${replUrl(this.replId)}/snapshots/${this.chosen.version}/zip?path=${encodePath(path)}`;
    },

    // what changes something
    async save() {
      await this.work("Saving a version…", async () => {
        const before = await this.head();
        const { version } = await callJson(`${replUrl(this.replId)}/snapshots`, { method: "POST", json: {} });
        this.say(version === before ? "Nothing has changed since the newest version." : "A version is saved.", { tone: "ok" });
      });
    },
    async nameIt() {
      const { version, name: value } = this.chosen;
      const question = { title: "Name this version", text: "A version with a name is kept for ever. Without one, old versions are thinned out to one an hour, and later one a day.", label: "Name of the version", value, most: NAME_CHARS, action: "Keep" };
      const name = await asked(question);
      if (name === null || name === value) return;
      await this.work("Naming…", async () => {
        await call(`${replUrl(this.replId)}/snapshots/${version}/name`, { method: "PUT", json: { name } });
        this.say(name ? `This version is called “${name}” and kept for ever.` : "This version has no name any more.", { tone: "ok" });
      });
    },
    async fork() {
      const { version, name, at } = this.chosen;
      const text = "A new REPL is made with the files as they were in this version, and opened. This one stays as it is.";
      if (!(await confirmed({ title: `Fork from ${name || exactly(at)}?`, text, action: "Fork", tone: "plain" }))) return;
      await this.work("Making a new REPL…", async () => {
        const { id } = await callJson(serverUrl(`/api/repls/${this.replId}/fork`), { method: "POST", json: { version } });
        location.assign(serverUrl(`/repl/${id}`));
      });
    },
    restoreFile() {
      return this.isGone ? this.restore(this.before.version, this.file) : this.restore(this.chosen.version, this.file);
    },
    async restore(version, path) {
      const { at, name } = this.listed.find((one) => one.version === version);
      const where = `${replUrl(this.replId)}/snapshots/${version}`;
      let text;
      this.say("");
      try {
        text = planWords(path, await callJson(`${where}/changes?since=${await this.head()}`));
      } catch (failed) {
        return this.say(wordsOf(failed), { tone: "danger" });
      }
      const what = path ? `“${path}”` : "everything";
      if (!(await confirmed({ title: `Restore ${what} from ${name || exactly(at)}?`, text, action: "Restore", tone: "plain" }))) return;
      await this.work("Restoring…", async () => {
        const done = await callJson(`${where}/restore`, { method: "POST", json: { path } });
        this.say(doneWords(done), { ...done, tone: done.noted ? "warn" : "ok" });
        this.compare();
      });
    },
    /** The newest version there is; the timeline may show those of one file only. */
    async head() {
      const { versions } = await callJson(`${replUrl(this.replId)}/snapshots?limit=1`);
      return versions[0]?.version ?? null;
    },
    async work(busy, what) {
      if (this.busy) return;
      this.busy = busy;
      try {
        await what();
      } catch (failed) {
        this.say(failed.message, { tone: "danger", action: failed.action ?? "Try again." });
      } finally {
        this.busy = "";
      }
      if (this.isOpen) await this.refresh();
    },
    /** Here, or in the page's own way while this is closed. */
    say(text, { tone = "none", notes = [], noted = 0, action = "" } = {}) {
      this.said = { text: `${text} ${action}`.trim(), notes, noted, tone };
      if (this.isOpen || !text) return;
      if (tone === "danger") this.$emit("failed", { message: text, action });
      else this.$emit("told", text);
    },

    // words and places
    idOf(what, name) {
      return `dx-history-${what}-${this.$.uid}-${name}`;
    },
    reveal(what, name) {
      this.$nextTick(() => document.getElementById(this.idOf(what, name))?.scrollIntoView({ block: "nearest" }));
    },
    enter(part) {
      this.step = part;
      this.$nextTick(() => this.$refs[part]?.focus());
    },
    reason({ message }) {
      return reasonWords(message, (version) => {
        const one = this.listed.find((each) => each.version === version);
        return one && clock(one.at);
      });
    },
    facts({ author, added, size_bytes }) {
      return [author, added && `${counted(added, "file")} changed`, sizeWords(size_bytes)].filter(Boolean).join(" · ");
    },
  },
};
