// A form that is sent by fetch; works with the keyboard alone and with password managers.
import { call, serverUrl, wordsOf } from "devex-bundle/repl.js";

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
      <button class="dx-btn dx-btn-primary dx-btn-wide" type="submit" :disabled="busy"><span v-if="busy" class="dx-spin"></span>{{ submit }}</button>
    </form>`,
  props: { fields: Array, url: String, submit: String, then: String, extra: Object, focus: Boolean },
  data() {
    return { busy: false, problem: "", wrong: "" };
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
      const values = Object.fromEntries(new FormData(this.$el));
      for (const field of this.fields) {
        if (!values[field.name]) return this.refuse(field, `${field.label} is missing.`);
        if (values[field.name].length < field.min_length) return this.refuse(field, `${field.label} needs at least ${field.min_length} characters.`);
      }
      this.busy = true;
      try {
        await call(serverUrl(this.url), { method: "POST", json: { ...this.extra, ...values } });
        const next = serverUrl(this.then);
        history.replaceState(null, "", next); // a page whose session has just ended reloads itself: that one then
        location.assign(next);
      } catch (failed) {
        this.refuse(null, wordsOf(failed));
        this.busy = false;
      }
    },
  },
};
