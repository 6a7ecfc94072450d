// One file as it is on disk, to read and to copy from. Needs no running REPL: the file comes by HTTP.
import { TextView, textOf } from "devex-bundle/editor.js";
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
      <div class="dx-editor-body">
        <div ref="host" class="dx-editor-view" :hidden="state !== 'shown'"></div>
        <div v-if="state !== 'shown'" class="dx-editor-empty" role="status">
          <span v-if="state === 'loading'" class="dx-spin"></span>
          <strong>{{ said[0] }}</strong><span>{{ said[1] }}</span>
        </div>
      </div>
    </div>`,
  props: { replId: String },
  data() {
    return { path: "", url: null, state: "empty", said: ["No file is open", "Choose one from the files to read it."] };
  },
  unmounted() {
    this.loading?.abort();
    this.view?.destroy();
  },
  methods: {
    async openFile(path) {
      this.loading?.abort();
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
        this.show(path, text);
      } catch (failed) {
        if (!signal.aborted) this.say("refused", failed.message, failed.action ?? "Try again.");
      }
    },
    say(state, ...said) {
      Object.assign(this, { state, said });
    },
    show(path, text) {
      this.view?.destroy();
      this.state = "shown";
      this.view = new TextView(this.$refs.host, path);
      this.view.show(textOf(text), true);
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
