// The versions, newest first, by day; the one that was chosen is marked.
import { ago, byDay, clock, counted, exactly, reasonOf, sizeWords } from "./words.mjs";

const NEAR_END_PX = 400; // of the list: older versions are fetched before it is reached

export const Timeline = {
  template: `
    <div class="dx-history-versions" @scroll.passive="scrolled">
      <div ref="list" class="dx-history-list" role="listbox" tabindex="0" aria-label="Versions" :aria-activedescendant="chosen ? idOf(chosen) : null" @keydown="key">
        <div v-for="group in days" :key="group.day" role="group" :aria-label="group.day">
          <div class="dx-history-day" aria-hidden="true">{{ group.day }}</div>
          <div v-for="one in group.versions" :key="one.version" :id="idOf(one)" role="option" :aria-selected="one.version === chosen?.version" class="dx-history-row" @click="$emit('choose', one, true)">
            <span class="dx-history-when" :title="exactly(one.at)"><strong>{{ clock(one.at) }}</strong><span>{{ ago(one.at, now) }}</span></span>
            <span v-if="one.name" class="dx-history-name"><i class="dx-i dx-i-bookmark"></i>{{ one.name }}</span>
            <span>{{ reasonOf(one, listed) }}</span>
            <span class="dx-history-facts">{{ facts(one) }}</span>
          </div>
        </div>
      </div>
      <div class="dx-history-end">
        <template v-if="loading"><span class="dx-spin"></span>Looking…</template>
        <template v-else-if="problem">{{ problem }} <button type="button" class="dx-btn dx-btn-small" @click="$emit('more')">Try again</button></template>
        <template v-else-if="isWhole">{{ end }}</template>
        <button v-else type="button" class="dx-btn dx-btn-small" @click="$emit('more')">Older versions</button>
      </div>
    </div>`,
  props: { listed: Array, isWhole: Boolean, loading: Boolean, problem: String, chosen: Object, now: Number, end: String },
  emits: ["choose", "more", "enter"],
  computed: {
    days() {
      return byDay(this.listed, this.now);
    },
  },
  methods: {
    ago, clock, exactly, reasonOf,
    facts({ author, added, size_bytes }) {
      return [author, added && `${counted(added, "file")} changed`, sizeWords(size_bytes)].filter(Boolean).join(" · ");
    },
    scrolled({ target }) {
      if (this.loading || this.isWhole || this.problem) return;
      if (target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_END_PX) this.$emit("more");
    },
    key(event) {
      const at = this.listed.findIndex(({ version }) => version === this.chosen?.version);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.listed.length - 1 }[event.key];
      if (event.key === "Enter") this.$emit("enter");
      else if (to === undefined) return;
      else if (this.listed[to]) this.choose(this.listed[to]);
      event.preventDefault();
    },
    choose(version) {
      this.$emit("choose", version, false);
      this.$nextTick(() => document.getElementById(this.idOf(version))?.scrollIntoView({ block: "nearest" }));
    },
    idOf({ version }) {
      return `dx-history-version-${this.$.uid}-${version}`;
    },
    focus() {
      this.$refs.list.focus();
    },
  },
};
