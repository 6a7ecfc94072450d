// A form that is sent by fetch; works with the keyboard alone and with password managers.
import { call } from "devex-bundle/repl.js";

export default {
  template: `
    <form class="dx-form" novalidate @submit.prevent="send">
      <div v-for="field in fields" :key="field.name" class="dx-field">
        <label :for="id(field)">{{ field.label }}</label>
        <input :id="id(field)" class="dx-input" :name="field.name" :type="field.type" :autocomplete="field.autocomplete" autocapitalize="none" spellcheck="false" required
               :minlength="field.min_length" :aria-describedby="field.hint ? id(field) + '-hint' : null" :aria-invalid="field.name === wrong || null" @input="problem = ''; wrong = ''">
        <span v-if="field.hint" :id="id(field) + '-hint'" class="dx-hint">{{ field.hint }}</span>
      </div>
      <div v-if="problem" class="dx-error" role="alert"><i class="dx-i dx-i-warning"></i><span>{{ problem }}</span></div>
      <div v-if="done" class="dx-row dx-done" role="status"><i class="dx-i dx-i-check"></i>{{ said }}</div>
      <button class="dx-btn dx-btn-primary dx-btn-wide" type="submit" :disabled="busy"><span v-if="busy" class="dx-spin"></span>{{ submit }}</button>
    </form>`,
  props: { fields: Array, url: String, method: String, submit: String, extra: Object, then: String, focus: Boolean, said: String },
  data() {
    return { busy: false, problem: "", wrong: "", done: false };
  },
  mounted() {
    if (this.focus) this.$el.querySelector("input")?.focus();
  },
  methods: {
    id(field) {
      return `dx-${this.$.uid}-${field.name}`;
    },
    refuse(field, sentence) {
      this.problem = sentence;
      this.wrong = field?.name ?? "";
      if (field) this.$el.elements[field.name].focus();
    },
    async send() {
      this.done = false;
      const values = Object.fromEntries(new FormData(this.$el));
      for (const field of this.fields) {
        if (!values[field.name]) return this.refuse(field, `${field.label} is missing.`);
        if (values[field.name].length < field.min_length) return this.refuse(field, `${field.label} needs at least ${field.min_length} characters.`);
      }
      this.busy = true;
      try {
        const response = await call(`${window.path_prefix ?? ""}${this.url}`, { method: this.method, json: { ...this.extra, ...values } });
        if (this.then) {
          const next = `${window.path_prefix ?? ""}${this.then}`;
          history.replaceState(null, "", next); // a page whose session has just ended reloads itself: that one then
          return location.assign(next);
        }
        this.$emit("done", await response.json().catch(() => null));
        this.done = Boolean(this.said);
        this.$el.reset();
      } catch (failed) {
        this.refuse(null, `${failed.message} ${failed.action ?? ""}`.trim());
      }
      this.busy = false;
    },
  },
};
