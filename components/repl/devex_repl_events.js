// Follows the events of the page's REPL: hands them to the elements in the page and to Python. Shows nothing,
// but marks the page's body with data-online while it hears.
import { Connection, EVENT, replUrl } from "devex-bundle/repl.js";

// Tree deltas stay in the browser (the file tree hears them); Python hears the rest.
const FOR_PYTHON = new Set(["hello", "ports", "run", "terminals", "quota"]);

export default {
  template: `<div hidden></div>`,
  props: { replId: String },
  async mounted() {
    await this.$nextTick(); // NiceGUI knows its path prefix only now
    this.connection = new Connection(() => `${replUrl(this.replId)}/events`, {
      opened: this.mark,
      lost: this.mark,
      message: (data) => this.hear(JSON.parse(data)),
      ping: () => this.connection.send("ping"),
    });
    window.addEventListener("online", this.mark);
    window.addEventListener("offline", this.mark);
  },
  unmounted() {
    window.removeEventListener("online", this.mark);
    window.removeEventListener("offline", this.mark);
    this.connection?.close();
  },
  methods: {
    hear(message) {
      window.dispatchEvent(new CustomEvent(EVENT, { detail: message }));
      if (FOR_PYTHON.has(message.type)) this.$emit("told", message);
    },
    /** Says so here: without a connection Python's word would not arrive. */
    mark() {
      document.body.toggleAttribute("data-online", this.connection.isOpen && navigator.onLine);
    },
  },
};
