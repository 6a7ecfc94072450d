// A pane of a fixed size in pixels, a gutter and a pane that takes the rest. What the user sets survives a reload.
import { COMMAND } from "devex-bundle/palette.js";

const STEP_PX = 16;
const KEEP_FREE_PX = 160; // the other pane never gets smaller than this
const FIRST_SHARE = 0.5; // of the room, at most, until the user says otherwise

export default {
  template: `
    <div class="dx-split" :data-axis="axis" :data-collapsed="collapsed">
      <div v-if="fixedFirst" class="dx-split-fixed" :style="fixedStyle" @[shown]="show"><slot name="fixed"></slot></div>
      <div v-if="!fixedFirst" class="dx-split-rest"><slot name="rest"></slot></div>
      <div class="dx-gutter" role="separator" tabindex="0" :aria-label="label" :aria-orientation="axis === 'x' ? 'vertical' : 'horizontal'"
           :aria-valuenow="Math.round(px)" :aria-valuemin="min" :aria-valuemax="max" :data-dragging="dragging || null"
           @pointerdown="start" @keydown="key" @dblclick="unset"></div>
      <div v-if="fixedFirst" class="dx-split-rest"><slot name="rest"></slot></div>
      <div v-if="!fixedFirst" class="dx-split-fixed" :style="fixedStyle" @[shown]="show"><slot name="fixed"></slot></div>
    </div>`,
  props: { name: String, label: String, axis: String, fixedFirst: Boolean, size: Number, min: Number, startCollapsed: Boolean, command: String },
  data() {
    const kept = this.read();
    return { set: kept.px ?? null, extent: 0, collapsed: kept.collapsed ?? this.startCollapsed, dragging: false, shown: "devex:shown" };
  },
  computed: {
    max() {
      return this.extent ? Math.max(this.min, this.extent - KEEP_FREE_PX) : 4000;
    },
    px() {
      const wanted = this.set ?? (this.extent ? Math.min(this.size, this.extent * FIRST_SHARE) : this.size);
      return Math.min(Math.max(wanted, this.min), this.max);
    },
    fixedStyle() {
      return { [this.axis === "x" ? "width" : "height"]: `${this.px}px` };
    },
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.$el);
    window.addEventListener(COMMAND, this.commanded);
  },
  unmounted() {
    this.observer.disconnect();
    window.removeEventListener(COMMAND, this.commanded);
  },
  methods: {
    read() {
      try {
        return JSON.parse(localStorage.getItem(`devex-split-${this.name}`)) ?? {};
      } catch {
        return {}; // storage is blocked in some frames: the defaults do
      }
    },
    keep() {
      try {
        localStorage.setItem(`devex-split-${this.name}`, JSON.stringify({ px: this.set && Math.round(this.set), collapsed: this.collapsed }));
      } catch {
        // as above
      }
    },
    fit() {
      this.extent = (this.axis === "x" ? this.$el.clientWidth : this.$el.clientHeight) || this.extent;
    },
    setSize(px) {
      this.set = Math.min(Math.max(px, this.min), this.max);
      this.keep();
    },
    unset() {
      this.set = null;
      this.keep();
    },
    setCollapsed(collapsed) {
      this.collapsed = collapsed;
      this.keep();
    },
    commanded(event) {
      if (event.detail !== this.command) return;
      event.preventDefault(); // done here: Python need not hear of it
      this.toggle();
    },
    toggle() {
      this.setCollapsed(!this.collapsed);
    },
    show() {
      if (this.collapsed) this.setCollapsed(false);
    },
    start(event) {
      event.preventDefault();
      const gutter = event.currentTarget;
      gutter.setPointerCapture(event.pointerId); // keeps the drag over the preview's iframe
      this.dragging = true;
      const at = (e) => (this.axis === "x" ? e.clientX : e.clientY);
      const from = at(event);
      const before = this.px;
      const sign = this.fixedFirst ? 1 : -1;
      gutter.onpointermove = (e) => this.setSize(before + sign * (at(e) - from));
      gutter.onpointerup = gutter.onpointercancel = () => {
        this.dragging = false;
        gutter.onpointermove = gutter.onpointerup = gutter.onpointercancel = null;
      };
    },
    key(event) {
      const grow = this.fixedFirst ? STEP_PX : -STEP_PX;
      const [less, more] = this.axis === "x" ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
      const moves = { [less]: this.px - grow, [more]: this.px + grow, Home: this.min, End: this.max };
      if (event.key in moves) this.setSize(moves[event.key]);
      else if (event.key === "Enter") this.toggle();
      else return;
      event.preventDefault();
    },
  },
};
