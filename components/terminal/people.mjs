// Who else has this terminal before them and whose turn it is to type, at its upper right; what was refused, and the ways out.
import { openMenu } from "../popups.mjs";

const MOST_SHOWN = 4; // of them; the menu names the others
const HUES = 6; // of people.css
const NOTICE_MS = 6000; // of what needs no answer
const ONLY_LOOK = "You may only look at this terminal: what you type is not sent.";
const FLASH_MS = 200;

/** As PEOPLE tells it when nobody else is there. */
export const ALONE = { people: [], turn: null, count: 1 };

const nameOf = (person) => person?.name || "Somebody";

function initialsOf(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...(words[0] ?? "?")].slice(0, 2);
  return letters.join("").toLocaleUpperCase();
}

/** What the person `you` may do about the turn: [{label, icon, to}], `to` the person who has it then. */
function waysOf({ people, turn }, you, canWrite) {
  if (!canWrite) return [];
  const take = turn === you ? [] : [{ label: turn === null ? "Take the turn to type" : "Take over", icon: "terminal", to: you }];
  const others = turn === null || turn === you ? people.filter((one) => one.n !== you && one.can_write) : [];
  return [...take, ...others.map((one) => ({ label: `Hand over to ${nameOf(one)}`, icon: "chevron", to: one.n }))];
}

/** "" while it is nobody's turn. */
function typingWords({ people, turn }, you) {
  const holder = people.find((one) => one.n === turn);
  return !holder ? "" : turn === you ? "You are typing" : `${nameOf(holder)} is typing`;
}

/** In one line, for whoever hears it or points at it. */
function companyWords(company, you) {
  const { people, count } = company;
  const others = people.filter((one) => one.n !== you).map((one) => nameOf(one) + (one.can_write ? "" : " (may only look)"));
  const more = count - 1 - others.length;
  const who = [...others, ...(more > 0 ? [`${more} more`] : [])].join(", ");
  return `Here with you: ${who}. ${typingWords(company, you) || "Nobody is typing"}.`;
}

export const People = {
  template: `
    <div class="dx-people-place">
      <div v-if="others.length || !canWrite" class="dx-people">
        <span v-if="!canWrite" class="dx-people-look" title="You may look at this terminal, not type into it"><i class="dx-i dx-i-eye"></i>Read-only</span>
        <button v-if="others.length" ref="who" type="button" class="dx-people-who" aria-haspopup="menu" :aria-label="words" :title="words" @click="menu">
          <span v-for="one in shown" :key="one.n" class="dx-person" aria-hidden="true" :data-hue="one.n % hues" :data-turn="one.n === company.turn" :data-initials="initials(one)"></span>
          <span v-if="company.count > shown.length" class="dx-people-more" aria-hidden="true" :data-more="company.count - shown.length"></span>
          <span class="dx-people-turn" aria-hidden="true">{{ turnWords }}</span>
        </button>
      </div>
      <div ref="notice" class="dx-people-notice" role="status">
        <template v-if="notice">
          <span>{{ notice.text }}</span>
          <button v-if="notice.takes" type="button" class="dx-btn dx-btn-small" @click="give(you)">Take over</button>
          <button type="button" class="dx-btn dx-btn-quiet dx-btn-icon" aria-label="Close this notice" title="Close" @click="dismiss"><i class="dx-i dx-i-close"></i></button>
        </template>
      </div>
    </div>`,
  props: { company: Object, you: Number, canWrite: Boolean, refused: Object },
  emits: ["give", "done"],
  data() {
    return { notice: null, hues: HUES };
  },
  computed: {
    others() {
      return this.company.people.filter((one) => one.n !== this.you);
    },
    shown() {
      return this.company.people.slice(0, MOST_SHOWN);
    },
    holder() {
      return this.company.people.find((one) => one.n === this.company.turn);
    },
    turnWords() {
      return typingWords(this.company, this.you);
    },
    words() {
      return companyWords(this.company, this.you);
    },
  },
  watch: {
    company({ turn }, { turn: before }) {
      if (turn === before) return;
      if (turn === this.you) this.say(before === null || this.took ? "" : "It is your turn to type.");
      else if (before === this.you && this.holder) this.say(`${nameOf(this.holder)} types now.`, { takes: this.canWrite });
      else if (turn === null && this.notice?.takes) this.say("");
      this.took = false;
    },
    refused({ why, by, bytes }) {
      if (why === "read_only") this.say(ONLY_LOOK);
      else {
        const name = nameOf(this.company.people.find((one) => one.n === by));
        this.say(`${name} is typing here${bytes ? ". What you typed was not sent." : ": take over first."}`, { takes: true });
      }
      this.$refs.notice.animate?.([{ opacity: 0.4 }, { opacity: 1 }], FLASH_MS); // each key is seen to be refused
    },
  },
  unmounted() {
    clearTimeout(this.fading);
  },
  methods: {
    initials(one) {
      return initialsOf(nameOf(one));
    },
    /** The same words again are not said again. `takes`: it stays, with a button that takes the turn. */
    say(text, { takes = false } = {}) {
      clearTimeout(this.fading);
      if (this.notice?.text !== text) this.notice = text ? { text, takes } : null;
      if (text && !takes) this.fading = setTimeout(() => (this.notice = null), NOTICE_MS);
    },
    dismiss() {
      this.notice = null;
      this.$emit("done");
    },
    give(person) {
      this.took = person === this.you;
      this.notice = null;
      this.$emit("give", person);
      this.$emit("done");
    },
    menu() {
      const ways = waysOf(this.company, this.you, this.canWrite);
      const items = ways.map(({ label, icon, to }) => ({ label, icon, run: () => this.give(to) }));
      const rest = this.others.filter((one) => !ways.some(({ to }) => to === one.n));
      const named = rest.map((one) => ({ label: nameOf(one) + (one.can_write ? "" : " (may only look)"), icon: "user", run: () => this.$emit("done") }));
      const { left, bottom } = this.$refs.who.getBoundingClientRect();
      openMenu([...items, ...(items.length && named.length ? [null] : []), ...named], { x: left, y: bottom + 4 });
    },
    /** A command of the page. */
    takeOver() {
      if (!this.canWrite) this.say(ONLY_LOOK);
      else if (this.others.length) this.give(this.you);
      else this.say("Nobody else is at this terminal.");
    },
  },
};
