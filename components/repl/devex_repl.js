// What a page knows of its REPL: its events, and the requests that start, stop and open things. Shows nothing.
import { callJson, call, follow, replUrl, socketUrl } from "devex-bundle/repl.js";

// Tree deltas stay in the browser (the file tree hears them); Python hears the rest.
const FOR_PYTHON = new Set(["hello", "ports", "run", "terminals", "saved", "agent", "quota"]);

export default {
  template: `<div hidden></div>`,
  props: { replId: String },
  async mounted() {
    await this.$nextTick();
    this.url = replUrl(this.replId);
    this.stop = follow(socketUrl(`${this.url}/events`), {
      onMessage: (message) => FOR_PYTHON.has(message.type) && this.$emit("told", message),
      onOnline: (online) => this.$emit("online", online),
    });
    this.refresh();
  },
  unmounted() {
    this.stop?.();
  },
  methods: {
    /** Runs `request`, telling Python when it fails. */
    async attempt(request) {
      try {
        return await request();
      } catch (failed) {
        this.$emit("failed", { message: failed.message, action: failed.action ?? "Try again." });
        return null;
      }
    },
    refresh() {
      return this.attempt(async () => {
        const [{ terminals }, run] = await Promise.all([callJson(`${this.url}/terminals`), callJson(`${this.url}/run`)]);
        this.$emit("told", { type: "state", terminals, run });
      });
    },
    run() {
      return this.attempt(async () => this.$emit("started", await callJson(`${this.url}/run`, { method: "POST", json: {} })));
    },
    halt() {
      return this.attempt(() => call(`${this.url}/stop`, { method: "POST", json: {} }));
    },
    openTerminal(cols, rows) {
      return this.attempt(async () => this.$emit("opened", await callJson(`${this.url}/terminals`, { method: "POST", json: { cols, rows } })));
    },
    closeTerminal(id) {
      return this.attempt(() => call(`${this.url}/terminals/${id}`, { method: "DELETE" }));
    },
  },
};
