// A line across the workbench while the files of an empty workspace come back, and afterwards if something was lost.
import { EVENT } from "devex-bundle/repl.js";
import { Notes, counted, lostWords, percentOf, restoringWords } from "devex-bundle/history.js";
import { COMMAND } from "devex-bundle/palette.js";

const KEY = "devex-lost"; // `began_at` of what was read and put away, for as long as the tab is open

export default {
  components: { DxNotes: Notes },
  template: `
    <div class="dx-restoring">
      <div v-if="state" class="dx-line dx-restoring-line" :data-tone="state.problem ? 'danger' : state.done ? 'warn' : 'none'">
        <template v-if="!state.done">
          <span class="dx-spin"></span>
          <span aria-hidden="true">{{ words }}</span>
          <progress max="100" :value="percent" :aria-label="words"></progress>
          <span v-if="state.of_files" class="dx-wide dx-muted">{{ state.files.toLocaleString('en') }} of {{ files }}</span>
        </template>
        <template v-else>
          <i class="dx-i dx-i-warning"></i><div class="dx-grow">{{ said }}
            <dx-notes :notes="state.notes" :noted="state.noted" one="One is not back as it was" more="are not back as they were"></dx-notes></div>
          <button type="button" class="dx-btn dx-btn-small" @click="showHistory">History</button>
          <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Dismiss" title="Dismiss" @click="dismiss"><i class="dx-i dx-i-close"></i></button>
        </template>
      </div>
      <span class="dx-sr" role="status">{{ said }}</span>
    </div>`,
  data() {
    return { restoring: null, stored: null, lost: "", isBack: false, dismissed: kept() };
  },
  computed: {
    /** What is to be shown; null is nothing. */
    state() {
      const { restoring } = this;
      if (!restoring || restoring.path !== null) return null;
      const isSaid = restoring.done && ((!this.lost && !restoring.noted) || this.dismissed === restoring.began_at);
      return isSaid ? null : restoring;
    },
    percent() {
      return percentOf(this.state) ?? undefined;
    },
    words() {
      const { problem } = this.state;
      return problem ? `Your files are not back yet: ${problem} This is tried again by itself; nothing is saved over them meanwhile.` : restoringWords(this.state);
    },
    files() {
      return counted(this.state.of_files, "file");
    },
    /** For who does not see it, without what changes all the time. */
    said() {
      if (!this.state) return this.isBack ? "Your files are back." : "";
      if (this.state.done) return this.lost || "Your files are back, but not all as they were.";
      return this.state.problem ? this.words : "Bringing your files back…";
    },
  },
  mounted() {
    window.addEventListener(EVENT, this.heard);
  },
  unmounted() {
    window.removeEventListener(EVENT, this.heard);
  },
  methods: {
    heard({ detail }) {
      if (detail.type === "restoring") this.take(detail);
      else if (detail.type === "hello") this.take(detail.restoring);
      const stored = detail.type === "hello" ? detail.stored : detail.type === "stored" ? detail : null;
      if (stored?.version || stored?.changed_at) this.stored = stored; // what was before tells what was lost: of who has just come up, nothing is known
    },
    take(restoring) {
      if (restoring && restoring.path !== null) return; // what a person restores is told elsewhere
      if (restoring?.at && restoring.began_at !== this.restoring?.began_at) this.lost = lostWords(restoring, this.stored);
      this.isBack = Boolean(restoring?.done && this.restoring && (this.isBack || !this.restoring.done));
      this.restoring = restoring;
    },
    showHistory() {
      window.dispatchEvent(new CustomEvent(COMMAND, { detail: "history", cancelable: true }));
    },
    dismiss() {
      this.dismissed = this.restoring.began_at;
      keep(this.dismissed);
    },
  },
};

function kept() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // forbidden, as in an embedded frame
  }
}

function keep(at) {
  try {
    sessionStorage.setItem(KEY, at);
  } catch {
    // it is told again after a reload
  }
}
