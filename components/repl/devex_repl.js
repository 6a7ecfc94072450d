// Follows the events of the page's REPL: hands them to the elements in the page and to Python. Shows nothing,
// but marks the page's body with data-online while it hears.
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
      onOnline: (isOpen) => {
        this.isOpen = isOpen;
        this.mark();
      },
    });
    window.addEventListener("online", this.mark);
    window.addEventListener("offline", this.mark);
  },
  unmounted() {
    window.removeEventListener("online", this.mark);
    window.removeEventListener("offline", this.mark);
    this.stop?.();
  },
  methods: {
    /** Says so here: without a connection Python's word would not arrive. */
    mark() {
      document.body.toggleAttribute("data-online", Boolean(this.isOpen) && navigator.onLine);
    },
  },
};
