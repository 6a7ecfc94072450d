// What was left out, behind a line that can be opened: [path, why] each, of `noted` in all.
export const Notes = {
  template: `
    <details v-if="noted" class="dx-history-notes"><summary>{{ noted === 1 ? one : noted + ' ' + more }}</summary>
      <ul><li v-for="[path, why] in notes" :key="path"><code>{{ path }}</code> {{ why }}</li>
        <li v-if="noted > notes.length">{{ notes.length ? 'and ' + (noted - notes.length) + ' more' : 'They are too many to be listed here.' }}</li></ul></details>`,
  props: { notes: Array, noted: Number, one: String, more: String },
};
