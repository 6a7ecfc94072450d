// A row of tabs and what they show, all mounted: visible are the one in front and what is shown beside it.
import { COMMAND } from "devex-bundle/palette.js";
import { Beside } from "devex-bundle/tabs.js";

const STEP = 0.02; // of the width, by key
const ADDED_MS = 10_000; // what comes later than this after a split was asked for is something else
const SHOWN = "devex:shown"; // whoever folds these tabs away unfolds them

export default {
  template: `
    <div class="dx-tabbed">
      <div class="dx-tabs">
        <div ref="list" class="dx-tablist" @keydown="key" @wheel.passive="wheel">
          <span role="tablist" :aria-label="label" :aria-owns="tabs.map(id).join(' ')"></span>
          <div v-for="tab in tabs" :key="tab.key" class="dx-tab" :class="{ 'dx-tab-pad': !canClose(tab) }" :data-active="tab.key === front" :data-beside="tab.key in places || null">
            <button role="tab" type="button" :id="id(tab)" :aria-selected="tab.key === front" :aria-controls="id(tab) + '-panel'" :tabindex="tab.key === front ? 0 : -1"
                    @click="pressed($event, tab)" @dblclick="rename(tab)" @auxclick.middle="canClose(tab) && $emit('close', tab.key)">
              <i :class="'dx-i dx-i-' + tab.icon"></i><span class="dx-tab-title">{{ tab.title }}</span></button>
            <button v-if="canClose(tab)" type="button" class="dx-btn dx-btn-quiet dx-btn-icon" :aria-label="'Close ' + tab.title" :title="'Close ' + tab.title" @click="$emit('close', tab.key)"><i class="dx-i dx-i-close"></i></button>
          </div>
        </div>
        <button v-if="!readonly" type="button" class="dx-btn dx-btn-quiet dx-btn-icon" :aria-label="addLabel" :title="addLabel" @click="$emit('add')"><i class="dx-i dx-i-plus"></i></button>
        <button v-if="splitLabel && !readonly" type="button" class="dx-btn dx-btn-quiet dx-btn-icon dx-wide" :aria-label="splitLabel" :title="splitLabel" @click="split"><i class="dx-i dx-i-split"></i></button>
      </div>
      <div class="dx-pane-body" ref="panels">
        <div v-for="tab in tabs" :key="tab.key" class="dx-tabpanel" :class="{ 'dx-behind': !(tab.key in places), 'dx-aside': tab.key in places && tab.key !== front }" :style="places[tab.key]" role="tabpanel" :id="id(tab) + '-panel'" :aria-labelledby="id(tab)" @focusin="came(tab.key)"><slot :name="tab.key"></slot></div>
        <div v-for="one in borders" :key="one.key" class="dx-gutter dx-tab-border" role="separator" tabindex="0" aria-orientation="vertical" :aria-label="'Width of ' + one.title" :aria-valuenow="Math.round(one.from * 100)"
             :style="{ left: one.from * 100 + '%' }" @pointerdown="drag($event, one.key)" @keydown="step($event, one.key)"></div>
      </div>
    </div>`,
  props: { tabs: Array, label: String, addLabel: String, command: String, renameCommand: String, splitLabel: String, splitCommands: Array, readonly: Boolean },
  data() {
    return { front: this.tabs[0]?.key ?? "", last: "", beside: new Beside(location.pathname) };
  },
  computed: {
    widths() {
      return this.beside.widths(this.front).filter(({ key }) => this.tabs.some((tab) => tab.key === key));
    },
    /** By key, of what is shown, where. */
    places() {
      return Object.fromEntries(this.widths.map(({ key, from, share }) => [key, { left: `${from * 100}%`, width: `${share * 100}%` }]));
    },
    borders() {
      return this.widths.slice(1).map((one) => ({ ...one, title: this.tabs.find((tab) => tab.key === one.key).title }));
    },
  },
  watch: {
    tabs(tabs, before) {
      const known = new Set(before.map((tab) => tab.key));
      const fresh = tabs.filter((tab) => tab.closable && !known.has(tab.key)).at(-1);
      if (fresh && this.splitting && performance.now() - this.splitting.atMs < ADDED_MS) {
        this.beside.add(this.splitting.key, fresh.key);
        this.wanted = true;
      }
      if (fresh) this.splitting = null;
      if (before.length > tabs.length) this.beside.only(tabs.map(({ key }) => key));
      if (fresh) this.choose(fresh.key, this.wanted);
      else if (!tabs.some((tab) => tab.key === this.front)) this.chooseLast(false);
      this.wanted = false;
    },
  },
  created() {
    this.chooseLast(false);
  },
  mounted() {
    window.addEventListener(COMMAND, this.commanded);
  },
  unmounted() {
    window.removeEventListener(COMMAND, this.commanded);
  },
  methods: {
    id(tab) {
      return `dx-tab-${this.$.uid}-${tab.key}`;
    },
    canClose(tab) {
      return tab.closable && !this.readonly;
    },
    commanded(event) {
      const [split, part] = this.splitCommands;
      const does = { [this.command]: () => this.chooseLast(true), [split]: this.split, [part]: () => this.beside.part(this.front) }[event.detail];
      if (!does) return;
      event.preventDefault(); // done here
      does();
    },
    /** With Ctrl or Cmd it is shown beside what is in front. */
    pressed(event, tab) {
      if ((event.ctrlKey || event.metaKey) && this.splitLabel) this.beside.add(this.front, tab.key);
      this.choose(tab.key, true);
    },
    /** A new one beside the one in front. */
    split() {
      if (this.readonly || !this.beside.mayGrow(this.front)) return;
      this.splitting = { key: this.front, atMs: performance.now() };
      this.$emit("add");
    },
    came(key) {
      this.front = key;
      if (this.tabs.find((tab) => tab.key === key)?.closable) this.last = key;
    },
    drag(event, key) {
      event.preventDefault();
      const gutter = event.currentTarget;
      gutter.setPointerCapture(event.pointerId);
      let from = event.clientX;
      gutter.onpointermove = ({ clientX }) => {
        this.beside.move(key, (clientX - from) / this.$refs.panels.clientWidth);
        from = clientX;
      };
      gutter.onpointerup = gutter.onpointercancel = () => (gutter.onpointermove = null);
    },
    step(event, key) {
      const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
      if (!by) return;
      event.preventDefault();
      this.beside.move(key, by);
    },
    choose(key, focus) {
      this.came(key);
      this.$nextTick(() => {
        document.getElementById(this.id({ key }))?.parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
        if (focus) document.getElementById(`${this.id({ key })}-panel`)?.querySelector("textarea")?.focus();
        this.$el.dispatchEvent(new CustomEvent(SHOWN, { bubbles: true }));
      });
    },
    chooseLast(focus) {
      const closable = this.tabs.filter((tab) => tab.closable);
      const tab = closable.find((one) => one.key === this.last) ?? closable.at(-1) ?? this.tabs[0];
      if (tab && this.$el) this.choose(tab.key, focus);
      else if (tab) this.front = this.last = tab.key;
    },
    /** What is in front names itself. */
    rename(tab) {
      if (this.canClose(tab) && this.renameCommand) window.dispatchEvent(new CustomEvent(COMMAND, { detail: this.renameCommand, cancelable: true }));
    },
    wheel(event) {
      this.$refs.list.scrollLeft += event.deltaY;
    },
    key(event) {
      const at = this.tabs.findIndex((tab) => tab.key === this.front);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.tabs.length - 1 }[event.key];
      if (event.key === "F2") return this.rename(this.tabs[at]);
      const closes = event.key === "Delete" && this.canClose(this.tabs[at]);
      if (to === undefined && !closes) return;
      event.preventDefault();
      if (closes) return this.$emit("close", this.front);
      this.choose(this.tabs.at(to % this.tabs.length).key, false);
      this.$nextTick(() => document.getElementById(this.id({ key: this.front })).focus());
    },
  },
};
