// How much of the REPL is safe in the store, told while it happens; pressed, it says so in a whole sentence.
import { EVENT } from "devex-bundle/repl.js";
import { percentOf, receiptOf } from "devex-bundle/history.js";
import { COMMAND } from "devex-bundle/palette.js";

const TICK_MS = 1000;
const LIFT_PX = 6; // above the status line

export default {
  template: `
    <span class="dx-receipt">
      <button v-if="stored" ref="button" type="button" :popovertarget="id" :title="receipt.sentence" :data-tone="receipt.tone">
        <span class="dx-receipt-long">{{ receipt.text }}</span><span class="dx-receipt-short">{{ receipt.short }}</span></button>
      <div :id="id" popover class="dx-receipt-more" @toggle="place">
        <p>{{ stored && receipt.sentence }}</p>
        <progress v-if="percent !== null" max="100" :value="percent" aria-label="How far it is"></progress>
        <div class="dx-row">
          <button type="button" class="dx-btn dx-btn-small" @click="give('history')">History</button>
          <button type="button" class="dx-btn dx-btn-small" @click="give('save-version')">Save a version now</button>
        </div>
      </div>
      <span class="dx-sr" role="status">{{ alarm }}</span>
    </span>`,
  data() {
    return { stored: null, restoring: null, since: 0, now: Date.now(), id: `dx-receipt-${this.$.uid}` };
  },
  computed: {
    receipt() {
      return receiptOf(this.stored, this.restoring, this.since, this.now);
    },
    percent() {
      return this.restoring && !this.restoring.done ? percentOf(this.restoring) : null;
    },
    alarm() {
      return this.stored?.problem ? this.receipt.text : "";
    },
  },
  mounted() {
    window.addEventListener(EVENT, this.heard);
    this.ticking = setInterval(() => this.stored?.changed_at && (this.now = Date.now()), TICK_MS);
  },
  unmounted() {
    window.removeEventListener(EVENT, this.heard);
    clearInterval(this.ticking);
  },
  methods: {
    heard({ detail }) {
      if (detail.type === "stored") this.take(detail);
      else if (detail.type === "restoring") this.restoring = detail;
      else if (detail.type === "hello") {
        this.restoring = detail.restoring;
        this.take(detail.stored);
      }
    },
    take(stored) {
      this.now = Date.now();
      // A change that is heard of now began now, whatever the server's clock says; of earlier ones only that is known.
      if (stored?.changed_at && stored.changed_at !== this.stored?.changed_at) this.since = this.stored ? this.now : Date.parse(stored.changed_at);
      this.stored = stored;
    },
    place(event) {
      if (event.newState !== "open") return;
      const at = this.$refs.button.getBoundingClientRect();
      const more = event.target;
      more.style.bottom = `${innerHeight - at.top + LIFT_PX}px`;
      more.style.left = `${Math.max(8, Math.min(at.left, innerWidth - more.offsetWidth - 8))}px`;
    },
    give(command) {
      document.getElementById(this.id).hidePopover();
      window.dispatchEvent(new CustomEvent(COMMAND, { detail: command, cancelable: true }));
    },
  },
};
