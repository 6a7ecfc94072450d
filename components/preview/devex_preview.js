// The running program's web page, on a host of its own: an address line, reload, open in a tab of its own.
import { callJson, serverUrl, wordsOf } from "devex-bundle/repl.js";

// No top navigation: a previewed page cannot replace the IDE. Its own origin keeps it from the IDE's cookies and storage.
// Nor may it read the clipboard, though the IDE itself may: who runs the program need not be who looks at it.
const SANDBOX = "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-modals allow-downloads";

/** The first port that has answered with a page; else the latest of which nothing is known: showing it will tell. */
function likeliest(ports) {
  return (ports.find(({ web }) => web) ?? ports.findLast(({ web }) => web === null) ?? ports[0])?.port ?? 0;
}

export default {
  template: `
    <div class="dx-preview">
      <div class="dx-preview-bar" role="toolbar" aria-label="Preview">
        <button class="dx-btn dx-btn-quiet dx-btn-icon" title="Reload" aria-label="Reload the preview" :disabled="!port" @click="show"><i class="dx-i dx-i-reload"></i></button>
        <form @submit.prevent="show">
          <select v-model.number="port" aria-label="Port" @change="chosen = true; show()"><option v-if="!ports.length" :value="0">no port</option><option v-for="one in ports" :key="one.port" :value="one.port">:{{ one.port }}</option></select>
          <input v-model="path" aria-label="Address" spellcheck="false" autocomplete="off" :disabled="!port">
        </form>
        <button class="dx-btn dx-btn-quiet dx-btn-icon" title="Open in a new tab" aria-label="Open the preview in a new tab" :disabled="!port" @click="openTab"><i class="dx-i dx-i-external"></i></button>
        <button class="dx-btn dx-btn-quiet dx-btn-icon dx-wide" title="Close" aria-label="Close the preview" @click="$emit('close')"><i class="dx-i dx-i-close"></i></button>
      </div>
      <div v-if="problem" class="dx-error" role="alert" style="margin:10px"><i class="dx-i dx-i-warning"></i><span>{{ problem }}</span></div>
      <iframe v-if="src" :key="shown" :src="src" title="Preview" :sandbox="sandbox" allow="clipboard-write; fullscreen" referrerpolicy="no-referrer"></iframe>
      <div v-else class="dx-hint-pane dx-grow"><i class="dx-i dx-i-globe" style="width:28px;height:28px"></i>
        <span>A web program shows up here by itself as soon as it listens on a port.</span></div>
    </div>`,
  props: { replId: String, ports: Array },
  data() {
    return { port: 0, chosen: false, path: "/", src: "", shown: 0, problem: "", sandbox: SANDBOX };
  },
  watch: {
    ports: {
      immediate: true,
      handler(ports) {
        const before = this.port;
        const here = ports.find(({ port }) => port === before);
        if (!here) this.chosen = false;
        if (!this.chosen && !here?.web) this.port = likeliest(ports);
        const speaksOtherwise = ports.some(({ port, web }) => port === this.port && web === false);
        if (!this.port || (speaksOtherwise && !this.chosen)) this.src = this.problem = "";
        else if (this.port !== before || !this.src) this.show();
      },
    },
  },
  methods: {
    /** An address that signs this browser in at the preview's host, good for one visit. */
    async address() {
      const { url } = await callJson(serverUrl(`/api/repls/${this.replId}/preview`), {
        method: "POST",
        json: { port: this.port, path: this.path.startsWith("/") ? this.path : `/${this.path}` },
      });
      return url;
    },
    async show() {
      if (!this.port) return;
      try {
        this.problem = "";
        this.src = await this.address();
        this.shown += 1; // a new frame: the old one's page cannot hold the navigation up
      } catch (failed) {
        this.src = "";
        this.problem = wordsOf(failed);
      }
    },
    async openTab() {
      const tab = window.open("about:blank"); // now, in the click: later it would count as a pop-up
      try {
        const url = await this.address();
        if (tab) {
          tab.opener = null;
          tab.location = url;
        }
      } catch (failed) {
        tab?.close();
        this.problem = wordsOf(failed);
      }
    },
  },
};
