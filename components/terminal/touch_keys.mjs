// The keys that a phone's keyboard lacks, in a row below the terminal.

export const BY_TOUCH = matchMedia("(pointer: coarse)").matches;

const ARROWS = { up: "A", down: "B", right: "C", left: "D" };
const KEYS = [
  { key: "escape", sign: "Esc", label: "Escape" },
  { key: "tab", sign: "Tab", label: "Tab" },
  { holds: "ctrl", sign: "Ctrl", label: "Control, with the next key" },
  { holds: "alt", sign: "Alt", label: "Alt, with the next key" },
  { key: "left", sign: "←", label: "Left" },
  { key: "up", sign: "↑", label: "Up" },
  { key: "down", sign: "↓", label: "Down" },
  { key: "right", sign: "→", label: "Right" },
  { key: "|", sign: "|", label: "Pipe" },
  { key: "/", sign: "/", label: "Slash" },
  { key: "~", sign: "~", label: "Tilde" },
  { key: "-", sign: "-", label: "Minus" },
];

/** A character as Ctrl and Alt make it. */
function modified(character, { ctrl, alt }) {
  const upper = character.toUpperCase();
  const code = upper.charCodeAt(0);
  const hasControl = upper.length === 1 && code >= 0x40 && code <= 0x5f;
  const controlled = hasControl ? String.fromCharCode(code & 0x1f) : { " ": "\0", "?": "\x7f", "/": "\x1f", "-": "\x1f" }[character];
  return (alt ? "\x1b" : "") + (ctrl ? controlled ?? character : character);
}

/** What a key of the row sends. `isApplication`: the program has asked for cursor keys of its own. */
function sent(key, held, isApplication) {
  if (key === "escape") return "\x1b";
  if (key === "tab") return "\t";
  if (!(key in ARROWS)) return modified(key, held);
  const modifier = 1 + (held.alt ? 2 : 0) + (held.ctrl ? 4 : 0);
  if (modifier > 1) return `\x1b[1;${modifier}${ARROWS[key]}`;
  return (isApplication ? "\x1bO" : "\x1b[") + ARROWS[key];
}

// A press does not move the focus: the phone's keyboard stays as it is.
export const TouchKeys = {
  template: `
    <div class="dx-terminal-touch" role="toolbar" aria-label="More keys" @mousedown.prevent>
      <button v-for="one in keys" :key="one.sign" type="button" :aria-label="one.label" :title="one.label" :aria-pressed="one.holds ? held[one.holds] : null" @click="press(one)">{{ one.sign }}</button>
      <button type="button" aria-label="Paste" title="Paste" @click="$emit('paste')"><i class="dx-i dx-i-paste"></i></button>
    </div>`,
  props: { term: Object },
  emits: ["paste"],
  data() {
    return { keys: KEYS, held: { ctrl: false, alt: false } };
  },
  methods: {
    press({ key, holds }) {
      if (holds) return void (this.held[holds] = !this.held[holds]);
      const data = sent(key, this.held, this.term.modes.applicationCursorKeysMode);
      this.release();
      this.term.input(data, true);
    },
    release() {
      Object.assign(this.held, { ctrl: false, alt: false });
    },
    /** What was typed, as the keys that are held make it; what a terminal says by itself is longer than a character. */
    withHeld(data) {
      if ((!this.held.ctrl && !this.held.alt) || [...data].length !== 1) return data;
      const changed = modified(data, this.held);
      this.release();
      return changed;
    },
  },
};
