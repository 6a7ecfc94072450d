// One file of a version beside what it was before, or is now; and the ways back for it.
import { encodePath, fileUrl, replUrl, wordsOf } from "../repl/http.mjs";
import { SIDE_BY_SIDE_PX, readText } from "./contents.mjs";
import { shortly } from "./words.mjs";

const NOTHING = { state: "none", said: "Choose a file to compare." };

/** Shows two texts; see Comparison. It comes when it is needed. */
async function comparison(...what) {
  const { Comparison } = await import("./comparison.mjs");
  return new Comparison(...what);
}

/** `older()` resolves to what it is compared with, `since` or the version before, undefined when there is none; `restore` tells a version and a path. */
export const Compared = {
  template: `
    <div class="dx-history-compared">
      <div v-if="picked" class="dx-history-filebar">
        <strong class="dx-grow" :title="picked.path">{{ picked.path.split('/').pop() }}</strong>
        <div v-if="!isFolder" class="dx-history-ways">
          <div class="dx-segments" role="group" aria-label="Compare">
            <button type="button" :aria-pressed="against === 'before'" @click="against = 'before'">{{ since ? 'Since ' + nameOf(since) : 'What it changed' }}</button>
            <button type="button" :aria-pressed="against === 'now'" @click="against = 'now'">What changed since</button>
          </div>
          <template v-if="shown.state === 'shown'">
            <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Change before" title="Change before" @click="go(false)"><i class="dx-i dx-i-up"></i></button>
            <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Next change" title="Next change" @click="go(true)"><i class="dx-i dx-i-down"></i></button>
            <button type="button" class="dx-btn dx-btn-quiet dx-btn-small" :aria-pressed="!folded" @click="folded = !folded">{{ folded ? 'All lines' : 'Changes only' }}</button>
          </template>
        </div>
        <a v-if="!picked.isGone" class="dx-btn dx-btn-quiet dx-btn-icon" :href="urlOf(isFolder ? 'zip' : 'file', version)" download :aria-label="'Download this version of the ' + kind" :title="'Download this version of the ' + kind"><i class="dx-i dx-i-download"></i></a>
        <button v-if="writable" type="button" class="dx-btn dx-btn-small" :disabled="busy || !ready" @click="restore">{{ picked.isGone ? 'Bring it back' : 'Restore this ' + kind }}</button>
      </div>
      <div v-if="shown.state === 'shown'" class="dx-history-sides" :data-single="shown.sideBySide ? null : ''"><span v-for="label in shown.labels" :key="label" :title="label">{{ label }}</span></div>
      <div class="dx-editor dx-history-texts">
        <div ref="host" class="dx-editor-view" :hidden="shown.state !== 'shown'"></div>
        <div v-if="shown.state !== 'shown'" class="dx-editor-empty" role="status"><span v-if="shown.state === 'loading'" class="dx-spin"></span>{{ shown.said }}</div>
      </div>
    </div>`,
  props: { replId: String, version: Object, picked: Object, older: Function, since: Object, withNow: Boolean, writable: Boolean, ready: Boolean, busy: Boolean, round: Number },
  emits: ["restore"],
  data() {
    return { against: this.withNow ? "now" : "before", folded: true, shown: NOTHING };
  },
  computed: {
    isFolder() {
      return this.picked?.kind === "d";
    },
    kind() {
      return this.isFolder ? "folder" : "file";
    },
    /** What is shown, false while that is not settled; when it changes, it is shown anew. */
    what() {
      return this.ready && JSON.stringify([this.version?.version, this.since?.version, this.picked, this.against, this.folded, this.round]);
    },
  },
  watch: {
    since() {
      this.against = "before";
    },
    what(what) {
      if (what) this.compare();
    },
  },
  unmounted() {
    this.reading?.abort();
    this.comparison?.destroy();
  },
  methods: {
    async compare() {
      this.reading?.abort();
      const { signal } = (this.reading = new AbortController());
      if (!this.picked) return this.showNothing(NOTHING);
      const { path, isGone } = this.picked;
      if (this.isFolder) return this.showNothing({ state: "none", said: isGone ? "This folder was deleted." : "This is a folder. Choose one of its files to compare it." });
      this.showNothing({ state: "loading", said: "" });
      try {
        const sides = await this.sides(signal);
        const texts = await Promise.all(sides.map(({ url }) => (url ? readText(url, signal) : { absent: true, text: "" })));
        if (!signal.aborted) await this.show(path, sides.map(({ label }, at) => ({ label, ...texts[at] })), signal);
      } catch (failed) {
        if (!signal.aborted) this.showNothing({ state: "refused", said: wordsOf(failed) });
      }
    },
    /** The older one first: {label, url}, without url where there is none. */
    async sides(signal) {
      const that = this.sideOf(this.version);
      if (this.against === "now") return [that, { label: "Now", url: fileUrl(this.replId, this.picked.path) }];
      const before = await this.older(signal);
      return [before ? this.sideOf(before) : { label: "Before" }, that];
    },
    nameOf({ name, at }) {
      return name || shortly(at);
    },
    sideOf(version) {
      return { label: this.nameOf(version), url: this.urlOf("file", version) };
    },
    urlOf(what, { version }) {
      return `${replUrl(this.replId)}/snapshots/${version}/${what}?path=${encodePath(this.picked.path)}`;
    },
    async show(path, [before, after], signal) {
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
      const named = [before, after].map(({ text }, at) => ({ text, label: `${path}, ${labels[at]}` }));
      const shown = await comparison(this.$refs.host, path, ...named, { sideBySide, folded: this.folded && !same, marked: !before.absent && !after.absent });
      if (signal.aborted) shown.destroy();
      else this.comparison = shown;
    },
    showNothing(shown) {
      this.comparison?.destroy();
      this.comparison = null;
      this.shown = shown;
    },
    go(forward) {
      this.comparison?.go(forward);
    },
    /** What is gone from this version is in the older one. */
    async restore() {
      const { path, isGone } = this.picked;
      this.$emit("restore", isGone ? await this.older() : this.version, path);
    },
  },
};
