// A line across the workbench when the browser is signed out, or its network lets no WebSockets through. Has the page's
// own socket come back like those of its elements.
import { NETWORK, network, serverUrl, takeOver } from "devex-bundle/repl.js";

const SIGN_IN = "/sign-in?then=/signed-in";
const WINDOW = "popup,width=480,height=640";
const NAME = `devex-sign-in-${Math.random()}`; // which nobody knows: a frame of that name, such as a previewed page, would be it

export default {
  template: `
    <div>
      <div v-if="state === 'signed-out'" class="dx-line dx-network" role="alert" data-tone="warn">
        <i class="dx-i dx-i-warning"></i>
        <span class="dx-grow">You were signed out. What you type is kept until you are back.</span>
        <button type="button" class="dx-btn dx-btn-small dx-btn-primary" title="Sign in again in a small window" @click="signIn">Sign in</button>
      </div>
      <div v-else-if="state === 'blocked'" class="dx-line dx-network" role="alert" data-tone="danger">
        <i class="dx-i dx-i-warning"></i>
        <span class="dx-grow">This network lets pages through but blocks WebSockets: nothing here can work.</span>
        <a class="dx-btn dx-btn-small" :href="diagnose" target="_blank" title="Find out what is wrong">What is wrong?</a>
      </div>
    </div>`,
  data() {
    return { state: network(), diagnose: null };
  },
  async mounted() {
    window.addEventListener(NETWORK, this.changed);
    window.addEventListener("devex:signed-out", this.signedOut);
    await this.$nextTick(); // NiceGUI makes its socket, and knows its path prefix, only now
    this.diagnose = serverUrl("/diagnose");
    takeOver(window.socket);
  },
  unmounted() {
    window.removeEventListener(NETWORK, this.changed);
    window.removeEventListener("devex:signed-out", this.signedOut);
  },
  methods: {
    changed() {
      this.state = network();
    },
    /** Told by the server before it cuts the page's socket; the page stays, with what was typed. */
    signedOut(event) {
      event.preventDefault();
    },
    signIn() {
      const address = serverUrl(SIGN_IN);
      if (!window.open(address, NAME, WINDOW)) location.assign(serverUrl(`/sign-in?then=${encodeURIComponent(location.pathname)}`));
    },
  },
};
