// One file as it is on disk, to read and to copy from. Needs no running REPL: the file comes by HTTP. What is typed into it is
// handed over to the editor that comes when the REPL runs.
import { TextView, bytesOf, handOver, keepTyped, textOf, typedOf } from "devex-bundle/editor.js";
import { call, fileUrl } from "devex-bundle/repl.js";

const MAX_TEXT_BYTES = 5_000_000; // as in the editor

export default {
  template: `
    <div class="dx-editor">
      <div v-if="path" class="dx-editor-tabs">
        <div class="dx-editor-tab" data-active :title="path"><span class="dx-editor-name dx-reader-name">{{ path.split("/").pop() }}</span></div>
        <span class="dx-grow"></span>
        <a class="dx-btn dx-btn-quiet" :href="url" download><i class="dx-i dx-i-download"></i>Download</a>
      </div>
      <div v-if="isTyped" class="dx-editor-banner" role="status">Not saved yet: this REPL has to run for it. What you type is kept.</div>
      <div v-if="refusal" class="dx-editor-banner" role="alert" data-tone="danger">{{ refusal }}</div>
      <div class="dx-editor-body">
        <div ref="host" class="dx-editor-view" :hidden="state !== 'shown'"></div>
        <div v-if="state !== 'shown'" class="dx-editor-empty" role="status">
          <span v-if="state === 'loading'" class="dx-spin"></span>
          <strong>{{ said[0] }}</strong><span>{{ said[1] }}</span>
        </div>
      </div>
    </div>`,
  props: { replId: String, readonly: Boolean },
  data() {
    return { path: "", url: null, state: "empty", said: ["No file is open", "Choose one from the files to read it."], isTyped: false, refusal: "" };
  },
  created() {
    this.typed = new Map(); // path -> what was typed into, as `handOver` takes it
  },
  mounted() {
    window.addEventListener("beforeunload", this.beforeLeaving);
    window.addEventListener("pagehide", this.leaving);
  },
  unmounted() {
    window.removeEventListener("beforeunload", this.beforeLeaving);
    window.removeEventListener("pagehide", this.leaving);
    this.loading?.abort();
    this.keepCaret();
    this.view?.destroy();
    const last = this.typed.get(this.path);
    handOver(this.replId, [...this.typed.values()].sort((a, b) => (a === last) - (b === last)));
  },
  methods: {
    beforeLeaving(event) {
      if (!keepTyped(this.replId, typedOf([...this.typed.values()]), { probe: true })) event.preventDefault();
    },
    leaving() {
      keepTyped(this.replId, typedOf([...this.typed.values()]));
    },
    keepCaret() {
      const typed = this.typed.get(this.path);
      if (typed) typed.caret = this.view.caret;
    },
    async openFile(path, line = null) {
      this.loading?.abort();
      this.keepCaret();
      const typed = this.typed.get(path);
      if (typed) {
        this.path = path;
        this.show(path, typed.text, line);
        this.view.caret = typed.caret;
        return;
      }
      const { signal } = (this.loading = new AbortController());
      Object.assign(this, { path, url: fileUrl(this.replId, path) });
      this.say("loading", `Loading ${path.split("/").pop()}`, "");
      try {
        const response = await call(this.url, { signal });
        if (Number(response.headers.get("Content-Length")) > MAX_TEXT_BYTES) {
          this.loading.abort();
          return this.say("refused", "This file is larger than 5 MB.", "Download it to look at it.");
        }
        const bytes = await response.arrayBuffer();
        const text = decoded(bytes);
        if (text === null) return this.say("refused", "This file is not text.", "Download it to look at it.");
        this.show(path, this.toBeTyped(path, text), line);
      } catch (failed) {
        if (!signal.aborted) this.say("refused", failed.message, failed.action ?? "Try again.");
      }
    },
    say(state, ...said) {
      Object.assign(this, { state, said });
    },
    show(path, text, line) {
      this.view?.destroy();
      Object.assign(this, { state: "shown", refusal: "" });
      this.view = new TextView(this.$refs.host, path, { onRefused: (sentence) => (this.refusal = sentence) });
      this.view.show(text, this.readonly);
      if (line) this.$nextTick(() => this.view.goTo(line));
    },
    /** The text; the first that is typed into it is told, so that the REPL is started. */
    toBeTyped(path, content) {
      const text = textOf(content.replace(/\r\n?/g, "\n")); // as the server keeps it in memory
      const held = bytesOf(text.toString());
      text.doc.once("update", () => {
        this.typed.set(path, { path, text, held, caret: 0 });
        this.isTyped = true;
        this.$emit("typed");
      });
      return text;
    },
  },
};

function decoded(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}
