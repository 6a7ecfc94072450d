// A row of tabs and what they show, all mounted: only the one in front is visible.
import { COMMAND } from "devex-bundle/palette.js";

const SHOWN = "devex:shown"; // whoever folds these tabs away unfolds them

export default {
  template: `
    <div class="dx-tabbed">
      <div class="dx-tabs">
        <div ref="list" class="dx-tablist" @keydown="key" @wheel.passive="wheel">
          <span role="tablist" :aria-label="label" :aria-owns="tabs.map(id).join(' ')"></span>
          <div v-for="tab in tabs" :key="tab.key" class="dx-tab" :class="{ 'dx-tab-pad': !tab.closable }" :data-active="tab.key === front">
            <button role="tab" type="button" :id="id(tab)" :aria-selected="tab.key === front" :aria-controls="id(tab) + '-panel'" :tabindex="tab.key === front ? 0 : -1"
                    @click="choose(tab.key, true)" @auxclick.middle="tab.closable && $emit('close', tab.key)">
              <i :class="'dx-i dx-i-' + tab.icon"></i><span class="dx-tab-title">{{ tab.title }}</span></button>
            <button v-if="tab.closable" type="button" class="dx-btn dx-btn-quiet dx-btn-icon" :aria-label="'Close ' + tab.title" :title="'Close ' + tab.title" @click="$emit('close', tab.key)"><i class="dx-i dx-i-close"></i></button>
          </div>
        </div>
        <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" :aria-label="addLabel" :title="addLabel" @click="$emit('add')"><i class="dx-i dx-i-plus"></i></button>
      </div>
      <div class="dx-pane-body" ref="panels">
        <div v-for="tab in tabs" :key="tab.key" class="dx-tabpanel" :class="{ 'dx-behind': tab.key !== front }" role="tabpanel" :id="id(tab) + '-panel'" :aria-labelledby="id(tab)"><slot :name="tab.key"></slot></div>
      </div>
    </div>`,
  props: { tabs: Array, label: String, addLabel: String, command: String },
  data() {
    return { front: this.tabs[0]?.key ?? "", last: "" };
  },
  watch: {
    tabs(tabs, before) {
      const known = new Set(before.map((tab) => tab.key));
      const fresh = tabs.filter((tab) => tab.closable && !known.has(tab.key)).at(-1);
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
    commanded(event) {
      if (event.detail !== this.command) return;
      event.preventDefault(); // done here
      this.chooseLast(true);
    },
    choose(key, focus) {
      this.front = key;
      if (this.tabs.find((tab) => tab.key === key)?.closable) this.last = key;
      this.$nextTick(() => {
        document.getElementById(this.id({ key }))?.parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
        if (focus) this.$refs.panels.querySelector(":scope > :not(.dx-behind) textarea")?.focus();
        this.$el.dispatchEvent(new CustomEvent(SHOWN, { bubbles: true }));
      });
    },
    chooseLast(focus) {
      const closable = this.tabs.filter((tab) => tab.closable);
      const tab = closable.find((one) => one.key === this.last) ?? closable.at(-1) ?? this.tabs[0];
      if (tab && this.$el) this.choose(tab.key, focus);
      else if (tab) this.front = this.last = tab.key;
    },
    wheel(event) {
      this.$refs.list.scrollLeft += event.deltaY;
    },
    key(event) {
      const at = this.tabs.findIndex((tab) => tab.key === this.front);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.tabs.length - 1 }[event.key];
      const closes = event.key === "Delete" && this.tabs[at].closable;
      if (to === undefined && !closes) return;
      event.preventDefault();
      if (closes) return this.$emit("close", this.front);
      this.choose(this.tabs.at(to % this.tabs.length).key, false);
      this.$nextTick(() => document.getElementById(this.id({ key: this.front })).focus());
    },
  },
};
