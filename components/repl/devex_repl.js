// Follows the events of the page's REPL: hands them to the elements in the page and to Python. Shows nothing.
import { follow, replUrl, socketUrl } from "devex-bundle/repl.js";

// Tree deltas stay in the browser (the file tree hears them); Python hears the rest.
const FOR_PYTHON = new Set(["hello", "ports", "run", "terminals", "agent", "quota"]);

export default {
  template: `<div hidden></div>`,
  props: { replId: String },
  async mounted() {
    await this.$nextTick(); // NiceGUI knows its path prefix only now
    this.stop = follow(socketUrl(`${replUrl(this.replId)}/events`), {
      onMessage: (message) => FOR_PYTHON.has(message.type) && this.$emit("told", message),
      onOnline: (online) => this.$emit("online", online),
    });
  },
  unmounted() {
    this.stop?.();
  },
};
