// The history of a REPL: a timeline of its versions, the files of one, and one of these compared; with the ways back.
import {
  Compared, Files, Notes, SHOW_HISTORY, Timeline, Versions, counted, exactly, fork, percentOf, reasonOf, rename,
  restore, restoringWords, save, savingWords, shortly, sizeWords,
} from "devex-bundle/history.js";
import { COMMAND } from "devex-bundle/palette.js";
import { EVENT, replUrl, wordsOf } from "devex-bundle/repl.js";

const AGO_EVERY_MS = 20_000;
const STAYS = new Set(["history", "save-version", "save", "theme", "extend"]); // commands that bring nothing else to the front
const SILENT = { text: "", tone: "none" };

export default {
  components: { DxTimeline: Timeline, DxFiles: Files, DxCompared: Compared, DxNotes: Notes },
  template: `
    <section v-if="isOpen" ref="root" class="dx-history" tabindex="-1" aria-label="History" :data-step="step" @keydown.esc="escaped">
      <header class="dx-history-bar">
        <button v-if="step !== 'versions'" type="button" class="dx-btn dx-btn-quiet dx-btn-icon dx-history-back" aria-label="Back" title="Back" @click="back"><i class="dx-i dx-i-back"></i></button>
        <h2 class="dx-subtitle" :title="path">{{ path ? 'History of ' + path : 'History' }}</h2>
        <button v-if="path" type="button" class="dx-btn dx-btn-quiet dx-btn-small" @click="show('')">All files</button>
        <span class="dx-grow"></span>
        <button v-if="writable && !isEmpty" type="button" class="dx-btn dx-btn-small" :disabled="Boolean(busy)" @click="save">Save a version now</button>
        <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Close the history" title="Close (Esc)" @click="close(true)"><i class="dx-i dx-i-close"></i></button>
      </header>
      <div class="dx-history-said" role="status" :data-tone="busy ? 'none' : said.tone">
        <template v-if="busy"><span class="dx-spin"></span><span class="dx-sr">{{ busy }}</span><span class="dx-grow" aria-hidden="true">{{ progress.text }}</span><progress v-if="progress.percent !== null" max="100" :value="progress.percent" aria-label="How far it is"></progress></template>
        <template v-else-if="said.text">
          <div class="dx-grow">{{ said.text }}
            <dx-notes v-if="said.notes" :notes="said.notes" :noted="said.noted" one="One was left as it is" more="were left as they are"></dx-notes></div>
          <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Dismiss" title="Dismiss" @click="say(null)"><i class="dx-i dx-i-close"></i></button>
        </template>
      </div>
      <div v-if="problem && !listed.length" class="dx-history-none" role="status">
        <i class="dx-i dx-i-warning dx-tone-danger"></i><p class="dx-subtitle">The versions cannot be listed</p><p class="dx-muted">{{ problem }}</p>
        <button type="button" class="dx-btn" @click="more">Try again</button>
      </div>
      <div v-else-if="isEmpty" class="dx-history-none">
        <i class="dx-i dx-i-history"></i><p class="dx-subtitle">{{ path ? 'No version holds this file yet' : 'No version yet' }}</p>
        <p class="dx-muted">What is changed is saved as a version within half a minute. Each can be looked at, compared and brought back here.</p>
        <button v-if="writable" type="button" class="dx-btn" :disabled="Boolean(busy)" @click="save">Save a version now</button>
      </div>
      <div v-else class="dx-history-body">
        <dx-timeline ref="timeline" :listed="listed" :is-whole="isWhole" :loading="loading" :problem="problem" :chosen="chosen" :now="now" :end="path ? 'Before this, it was not there.' : 'This is the oldest version.'"
          @choose="choose" @more="more" @enter="enter"></dx-timeline>
        <div class="dx-history-version">
          <template v-if="chosen">
            <div class="dx-history-about">
              <strong>{{ chosen.name || exactly(chosen.at) }}</strong>
              <span v-if="chosen.name">{{ exactly(chosen.at) }}</span>
              <span>{{ reasonOf(chosen, listed) }}{{ chosen.author ? ', by ' + chosen.author : '' }}</span>
              <span>Version {{ chosen.version }}, {{ counted(chosen.files, 'file') }}, {{ sizeWords(chosen.size_bytes) }}</span>
              <label v-if="olders.length > 1" class="dx-history-since">Compared with
                <select :value="since?.version ?? ''" @change="compareSince($event.target.value)">
                  <option value="">the version before</option>
                  <option v-for="one in olders" :key="one.version" :value="one.version">{{ one.name || shortly(one.at) }}</option>
                </select></label>
              <dx-notes :notes="chosen.notes" :noted="chosen.noted" one="One is not in it as it was" more="are not in it as they were"></dx-notes>
              <span v-if="!writable && whyNot">{{ whyNot }}</span>
              <div class="dx-row dx-wrap">
                <button v-for="action in actions" :key="action.label" type="button" class="dx-btn dx-btn-small" :disabled="Boolean(busy)" @click="action.run"><i :class="'dx-i dx-i-' + action.icon"></i>{{ action.label }}</button>
                <a class="dx-btn dx-btn-small" :href="zipUrl" download><i class="dx-i dx-i-download"></i>Download</a>
              </div>
            </div>
            <dx-files ref="files" :repl-id="replId" :version="chosen.version" :since="since?.version ?? ''" :picked="picked?.path ?? ''" @pick="pick" @offer="offered"></dx-files>
          </template>
          <div v-else-if="!loading" class="dx-history-end">Choose a version to see what changed in it.</div>
        </div>
        <dx-compared :key="path" :repl-id="replId" :version="chosen" :picked="picked" :older="older" :since="since" :with-now="Boolean(path)" :writable="writable" :ready="isReady" :busy="Boolean(busy)" :round="round" @restore="restore"></dx-compared>
      </div>
    </section>`,
  props: { replId: String, writable: Boolean, whyNot: String },
  emits: ["told", "failed"],
  data() {
    return {
      isOpen: false, path: "", listed: [], isWhole: false, loading: false, problem: "", chosen: null, since: null, picked: null, isReady: false, step: "versions",
      said: SILENT, busy: "", restoring: null, saving: null, round: 0, now: Date.now(),
    };
  },
  computed: {
    isEmpty() {
      return this.isWhole && !this.listed.length && !this.loading && !this.problem;
    },
    /** What the chosen version can be compared with: of two the newer one is chosen. */
    olders() {
      return this.listed.slice(this.listed.findIndex(({ version }) => version === this.chosen?.version) + 1);
    },
    /** What can be done with the chosen version. A fork leaves this REPL as it is. */
    actions() {
      const forking = { label: "Fork", icon: "fork", run: () => this.act((begin) => fork(this.replId, this.chosen, begin)) };
      if (!this.writable) return [forking];
      return [
        { label: "Restore everything", icon: "restore", run: () => this.restore(this.chosen, "") },
        forking,
        { label: this.chosen.name ? "Rename" : "Name this version", icon: "bookmark", run: () => this.act((begin) => rename(this.replId, this.chosen, begin)) },
      ];
    },
    zipUrl() {
      return `${replUrl(this.replId)}/snapshots/${this.chosen.version}/zip?path=`;
    },
    /** How far that is which is done now: {text, percent}, as far as the REPL tells. */
    progress() {
      if (this.restoring && !this.restoring.done) return { text: restoringWords(this.restoring), percent: percentOf(this.restoring) };
      return { text: this.saving ? savingWords(this.saving) : this.busy, percent: null };
    },
  },
  watch: {
    /** What lies behind it is hidden. Not by :has(): each line of a terminal would have the whole page styled anew. */
    isOpen(isOpen) {
      this.$el.parentElement.toggleAttribute("data-history-open", isOpen);
    },
  },
  mounted() {
    window.addEventListener(EVENT, this.heard);
    window.addEventListener(COMMAND, this.commanded);
    window.addEventListener(SHOW_HISTORY, this.wanted);
    this.ticking = setInterval(() => this.isOpen && (this.now = Date.now()), AGO_EVERY_MS);
  },
  beforeUnmount() {
    this.$el.parentElement.removeAttribute("data-history-open");
  },
  unmounted() {
    window.removeEventListener(EVENT, this.heard);
    window.removeEventListener(COMMAND, this.commanded);
    window.removeEventListener(SHOW_HISTORY, this.wanted);
    clearInterval(this.ticking);
    this.listing?.abort();
  },
  methods: {
    counted, exactly, reasonOf, shortly, sizeWords,

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
      if (detail.type === "hello" || detail.type === "restoring") this.restoring = detail.type === "hello" ? detail.restoring : detail;
      const stored = detail.type === "hello" ? detail.stored : detail.type === "stored" ? detail : null;
      if (!stored) return;
      this.saving = stored.saving;
      if (stored.version === this.newest) return;
      this.newest = stored.version;
      if (this.isOpen && !stored.saving) this.refresh();
    },
    async open(path) {
      if (!this.isOpen) this.focusBack = document.activeElement;
      this.isOpen = true;
      await this.$nextTick();
      this.focus();
      await this.show(path);
      if (!this.$refs.root?.contains(document.activeElement)) this.focus(); // a menu took it back as it closed
    },
    focus() {
      (this.$refs.timeline ?? this.$refs.root)?.focus();
    },
    close(focusBack) {
      if (!this.isOpen) return;
      this.isOpen = false;
      this.listing?.abort();
      if (focusBack) this.$nextTick(() => this.focusBack?.focus?.());
    },
    escaped(event) {
      if (event.defaultPrevented) return; // a search in the text was closed
      event.stopPropagation();
      this.close(true);
    },
    back() {
      this.step = this.step === "compared" && !this.path ? "files" : "versions";
    },

    // versions
    async show(path) {
      this.versions = new Versions(this.replId, path);
      Object.assign(this, { path, listed: [], isWhole: false, chosen: null, since: null, picked: null, step: "versions", now: Date.now() });
      this.say(null);
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
        if (stored?.crowded && stored.crowded !== this.crowded) this.say({ text: stored.crowded, tone: "warn" });
        this.crowded = stored?.crowded; // said once, not with every version
        this.take();
        this.chosen = this.listed.find(({ version }) => version === this.chosen?.version) ?? this.chosen;
        if (!this.chosen && this.listed.length) this.choose(this.listed[0]);
      } catch (failed) {
        if (!signal.aborted) this.problem = wordsOf(failed);
      } finally {
        if (!signal.aborted) this.loading = false;
      }
    },
    take() {
      const { listed, isWhole } = this.versions;
      Object.assign(this, { listed, isWhole });
    },
    /** What the chosen version is compared with: by default the one before it; older ones are fetched for it. */
    async older(signal) {
      if (this.since) return this.since;
      const at = this.listed.findIndex(({ version }) => version === this.chosen?.version);
      if (at === this.listed.length - 1 && !this.isWhole) await this.versions.more(signal).then(() => this.take());
      return this.listed[at + 1];
    },
    /** `byHand`: where only one part fits, the next one comes to the front. */
    choose(version, byHand = false) {
      if (version.version !== this.chosen?.version) this.isReady = false;
      this.chosen = version;
      if (!this.olders.some((one) => one.version === this.since?.version)) this.since = null;
      this.picked ??= this.path ? { path: this.path, kind: "f", isGone: false } : null;
      if (byHand) this.step = this.path ? "compared" : "files";
    },

    compareSince(version) {
      this.isReady = version === (this.since?.version ?? "");
      this.since = this.olders.find((one) => one.version === version) ?? null;
    },

    // files
    offered(picked) {
      if (!this.path || picked?.path === this.path) this.picked = picked;
      this.isReady = true;
    },
    pick(picked, byHand) {
      Object.assign(this, { picked, isReady: true });
      if (byHand) this.step = "compared";
    },
    async enter() {
      this.step = "files";
      await this.$nextTick();
      this.$refs.files?.focus();
    },

    // what changes something
    save() {
      return this.act((begin) => save(this.replId, this.newest, begin));
    },
    restore(version, path) {
      return this.act((begin) => restore(this.replId, version, path, begin));
    },
    async act(action) {
      if (this.isActing) return;
      this.isActing = true;
      this.say(null);
      try {
        this.say(await action((busy) => (this.busy = busy)));
      } catch (failed) {
        this.say({ text: failed.message, action: failed.action ?? "Try again.", tone: "danger" });
      } finally {
        this.isActing = false;
        this.busy = "";
      }
      this.round++; // what is compared with now may be another
      if (this.isOpen) await this.refresh();
    },
    /** Here, or in the page's own way while this is closed; null is nothing. */
    say(said) {
      const { text, action = "", tone } = said ?? SILENT;
      this.said = { ...said, text: `${text} ${action}`.trim(), tone };
      if (this.isOpen || !text) return;
      if (tone === "danger") this.$emit("failed", { message: text, action });
      else this.$emit("told", text);
    },
  },
};
