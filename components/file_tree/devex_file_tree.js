// The file tree: draws only the rows in sight, loads directories when they are opened, and follows the REPL's tree events.
import { SHOW_HISTORY } from "devex-bundle/history.js";
import { EVENT } from "devex-bundle/repl.js";
import {
  DRAG_TYPE, NOTHING, Remote, TreeModel, TypeAhead, all, basename, chosenFiles, extended, filesOf, flipped, iconOf, isEntry, isWithin, join,
  keyAction, menuItems, namesOf, only, openMenu, parent, sendFiles, sureToDelete, sureToReplace, these, topmost,
} from "devex-bundle/file_tree.js";

const BY_TOUCH = matchMedia("(pointer: coarse), (max-width: 700px)").matches;
const FAINT = /^(\.|__pycache__$|node_modules$)/; // made by tools, seldom looked at
const ROW_PX = BY_TOUCH ? 36 : 24; // a finger needs more
const OVERSCAN = 8; // rows drawn beyond either edge, so that scrolling shows no blank
const HOVER_OPEN_MS = 600; // a closed folder under a drag opens after this
const EVERYTHING = { path: "", kind: "d" };

/** The directory that something new beside or in `row` comes into; the workspace's own without a row. */
const dirOf = (row) => (!row ? "" : row.kind === "d" ? row.path : parent(row.path));

export default {
  template: `
    <div class="dx-files">
      <div class="dx-files-bar" role="toolbar" aria-label="Files">
        <span>Files</span>
        <button v-for="tool in tools" :key="tool.icon" type="button" class="dx-btn dx-btn-quiet dx-btn-icon" :title="tool.label" :aria-label="tool.label" @click="tool.run">
          <i :class="'dx-i dx-i-' + tool.icon"></i></button>
      </div>
      <div ref="view" class="dx-tree" :style="{ '--row': rowPx + 'px' }" role="tree" tabindex="0" aria-label="Files" aria-multiselectable="true" :aria-activedescendant="current ? rowId(current) : null" :data-drop="dropDir === '' || null"
           @scroll.passive="measure" @keydown="key" @click.self="select(null)" @contextmenu.prevent="menu($event, null)"
           @dragover="dragOver($event, null)" @dragleave.self="dragLeave" @drop="drop($event, null)">
        <div role="presentation" :style="{ height: total * rowPx + 'px' }"></div>
        <div v-for="row in slice" :key="row.path" :id="rowId(row.path)" class="dx-tree-row" role="treeitem" :style="{ transform: 'translateY(' + row.y + 'px)' }"
             :aria-level="row.depth + 1" :aria-expanded="row.kind === 'd' ? row.isOpen : null" :aria-selected="picked.has(row.path)" :data-current="row.path === current || null" :aria-posinset="row.at" :aria-setsize="row.of"
             :title="row.shown" :data-faint="row.faint || null" :data-drop="(dropDir && dropDir === row.path) || null" :draggable="!row.isNew && row.path !== renaming && !readonly"
             @click="click($event, row)" @contextmenu.prevent.stop="menu($event, row)"
             @dragstart="dragStart($event, row)" @dragover.stop="dragOver($event, row)" @drop.stop="drop($event, row)">
          <span class="dx-tree-gap" :style="{ width: 6 + row.depth * 12 + 'px' }"></span>
          <i v-if="row.kind === 'd'" class="dx-i dx-i-chevron"></i><span v-else class="dx-tree-gap" style="width:14px"></span>
          <i v-if="!row.isNote" :class="'dx-i dx-i-' + row.icon" :style="{ color: row.colour }"></i>
          <input v-if="row.isNew || row.path === renaming" :aria-label="row.isNew ? 'Name of the new ' + (row.kind === 'd' ? 'folder' : 'file') : 'New name'" spellcheck="false"
                 @vue:mounted="editing($event.el, row)" @keydown.stop="nameKey($event, row)" @blur="nameDone($event.target.value, row)" @click.stop @dblclick.stop>
          <span v-else class="dx-tree-name">{{ row.shown }}</span>
          <button v-if="byTouch && row.path === current && row.path !== renaming" type="button" tabindex="-1" class="dx-btn dx-btn-quiet dx-btn-icon" :aria-label="'More for ' + row.shown" @click.stop="menu($event, row)"><i class="dx-i dx-i-more"></i></button>
        </div>
        <div v-if="loaded && !total" class="dx-tree-empty">No files yet.{{ readonly ? '' : ' Create one, or drop files here.' }}</div>
      </div>
      <div v-if="upload" class="dx-upload" role="status"><span>Uploading {{ upload.done }}/{{ upload.of }}</span><progress :value="upload.sent" :max="upload.bytes"></progress></div>
    </div>`,
  props: { replId: String, readonly: Boolean },
  data() {
    return {
      rowPx: ROW_PX, byTouch: BY_TOUCH, version: 0, top: 0, height: 600, selection: NOTHING, renaming: null, dropDir: null,
      upload: null, loaded: false,
    };
  },
  computed: {
    current() {
      return this.selection.current;
    },
    picked() {
      return this.selection.picked;
    },
    total() {
      return this.version >= 0 ? this.model.rows().length : 0;
    },
    slice() {
      const rows = this.version >= 0 && this.model.rows();
      const from = Math.max(Math.floor(this.top / ROW_PX) - OVERSCAN, 0);
      const to = Math.min(Math.ceil((this.top + this.height) / ROW_PX) + OVERSCAN, rows.length);
      return rows.slice(from, to).map((row, index) => {
        const [icon, colour] = iconOf(row);
        return { ...row, icon, colour, y: (from + index) * ROW_PX, faint: row.isNote || FAINT.test(row.name) };
      });
    },
    tools() {
      const reading = [{ icon: "collapse", label: "Collapse all folders", run: () => this.change(() => this.model.collapseAll()) }];
      if (this.readonly) return reading;
      return [
        ...this.additions,
        { icon: "download", label: "Download everything as a zip", run: () => this.download([EVERYTHING]) },
        ...reading,
      ];
    },
    additions() {
      return [
        { icon: "file-new", label: "New file", run: () => this.create("f") },
        { icon: "folder-new", label: "New folder", run: () => this.create("d") },
        { icon: "upload", label: "Upload files", run: () => this.choose() },
        { icon: "folder-up", label: "Upload a folder", run: () => this.choose({ folder: true }) },
      ];
    },
  },
  created() {
    this.storageKey = `devex-tree-${this.replId}`;
    this.model = new TreeModel(this.kept());
    this.typeAhead = new TypeAhead();
  },
  async mounted() {
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.$refs.view);
    window.addEventListener(EVENT, this.heard);
    await this.$nextTick();
    this.remote = new Remote(this.replId);
    await this.load("");
    this.loaded = true;
    for (const dir of [...this.model.open].sort()) await this.load(dir);
  },
  unmounted() {
    this.observer.disconnect();
    window.removeEventListener(EVENT, this.heard);
  },
  methods: {
    rowId(path) {
      return `dx-tree-${this.$.uid}-${path.replace(/[^\w.-]/g, (c) => `_${c.charCodeAt(0)}_`)}`;
    },
    kept() {
      try {
        return JSON.parse(localStorage.getItem(this.storageKey)) ?? [];
      } catch {
        return []; // storage is blocked in some frames
      }
    },
    change(mutate) {
      mutate();
      this.version += 1;
      try {
        localStorage.setItem(this.storageKey, JSON.stringify([...this.model.open].slice(0, 500)));
      } catch {
        // as above
      }
    },
    measure() {
      this.top = this.$refs.view.scrollTop;
      this.height = this.$refs.view.clientHeight;
    },
    async attempt(request) {
      try {
        return await request();
      } catch (failed) {
        this.tell(failed);
        return null;
      }
    },
    tell(failed) {
      this.$emit("failed", { message: failed.message, action: failed.action ?? "Try again." });
    },

    // what is there
    async load(dir) {
      try {
        const listing = await this.remote.list(dir);
        let fits = false;
        this.change(() => (fits = this.model.setDir(dir, listing.rev, listing.entries)));
        this.rev ??= listing.rev; // what is heard next continues from here
        if (!fits) await this.load(dir);
      } catch (failed) {
        if (dir) this.change(() => this.model.setOpen(dir, false));
        if (failed.status !== 404) this.tell(failed);
      }
    },
    heard({ detail }) {
      const { type, rev, ops, resync } = detail;
      const missed = this.rev !== undefined && ((type === "tree" && rev > this.rev + 1) || (type === "hello" && rev !== this.rev));
      if (rev !== undefined) this.rev = rev;
      if (type === "tree") this.change(() => this.model.apply(rev, ops));
      if (missed || resync || type === "resync") for (const dir of this.model.loadedDirs()) this.load(dir);
    },
    toggle(row, isOpen = !row.isOpen) {
      this.change(() => this.model.setOpen(row.path, isOpen));
      if (isOpen) this.load(row.path); // again even when loaded: excluded folders are not watched
    },
    /** Opens the folders above `path` and selects it; called from Python when another file becomes active. */
    async reveal(path) {
      const above = [];
      for (let dir = parent(path); dir; dir = parent(dir)) above.unshift(dir);
      for (const dir of above) {
        this.change(() => this.model.setOpen(dir, true));
        if (!this.model.isLoaded(dir)) await this.load(dir);
      }
      this.select(path);
    },

    // where we are
    setSelection(selection) {
      this.selection = selection;
      if (this.current !== null) this.$nextTick(() => this.scrollTo(this.model.indexOf(this.current)));
    },
    select(path) {
      this.setSelection(only(path));
    },
    extend(path) {
      this.setSelection(extended(this.selection, path, this.model.rows()));
    },
    /** The selected rows, without those that go with a selected folder. */
    chosen() {
      const rows = this.model.rows();
      return topmost([...this.picked]).map((path) => rows[this.model.indexOf(path)]).filter(Boolean);
    },
    focusTree() {
      this.$refs.view.focus();
      if (!this.row()) this.select(this.model.rows()[0]?.path ?? null);
    },
    scrollTo(index) {
      const view = this.$refs.view;
      if (index < 0 || !view) return;
      if (index * ROW_PX < view.scrollTop) view.scrollTop = index * ROW_PX;
      else if ((index + 1) * ROW_PX > view.scrollTop + view.clientHeight) view.scrollTop = (index + 1) * ROW_PX - view.clientHeight;
    },
    row() {
      return this.model.rows()[this.model.indexOf(this.current)];
    },
    click(event, row) {
      if (!isEntry(row) || row.path === this.renaming) return;
      if (event.shiftKey) return this.extend(row.path);
      if (event.ctrlKey || event.metaKey) return this.setSelection(flipped(this.selection, row.path));
      this.select(row.path);
      if (row.kind === "d") this.toggle(row);
      else this.openFile(row.path);
    },
    // Bytes that are no UTF-8 reach the server's routes, but neither the editor nor the page's events carry them.
    openFile(path) {
      if (path.isWellFormed()) this.$emit("open", { path });
      else this.$emit("failed", { message: "The editor cannot open a file whose path is not UTF-8 text.", action: "Rename it first." });
    },
    removed(path) {
      if (path.isWellFormed()) this.$emit("removed", { path });
    },
    moved(from, to) {
      if (!to.isWellFormed()) this.removed(from);
      else if (from.isWellFormed()) this.$emit("moved", { from, to });
    },
    key(event) {
      const rows = this.model.rows();
      const action = keyAction(event, rows, this.model.indexOf(this.current), Math.floor(this.height / ROW_PX) - 1);
      if (!action) {
        const found = this.typeAhead.find(event, rows, this.model.indexOf(this.current));
        if (found) this.select(found.path);
        return;
      }
      event.preventDefault();
      if (action.go !== undefined && rows.length) this[action.extends ? "extend" : "select"](rows[action.go].path);
      if (action.open !== undefined) this.openFile(rows[action.open].path);
      if (action.toggle) this.toggle(rows[action.toggle[0]], action.toggle[1]);
      if (action.act === "all") this.setSelection(all(this.selection, rows));
      if (action.act === "one") this.select(this.current);
      if (action.act === "menu") this.menu(event, this.row() ?? null);
      if (action.act === "rename" && this.row() && !this.readonly) this.renaming = this.current;
      if (action.act === "remove" && this.row() && !this.readonly) this.remove(this.chosen());
    },

    // changes
    create(kind) {
      const dir = dirOf(this.row());
      this.change(() => {
        if (dir) this.model.setOpen(dir, true);
        this.model.setPending({ dir, kind });
      });
      if (!this.model.isLoaded(dir)) this.load(dir);
      this.$nextTick(() => this.scrollTo(this.model.rows().findIndex((row) => row.isNew)));
    },
    /** Its value is bound to nothing: whatever else is drawn anew, what is being typed stays. */
    editing(input, row) {
      input.value = row.name;
      input.focus();
      const dot = row.kind === "d" ? -1 : row.name.lastIndexOf(".");
      input.setSelectionRange(0, dot > 0 ? dot : row.name.length);
    },
    nameKey(event, row) {
      if (event.key === "Enter") this.nameDone(event.target.value, row);
      else if (event.key === "Escape") this.nameDone("", row);
      else return;
      this.$refs.view.focus();
    },
    async nameDone(typed, row) {
      if (row.isNew ? !this.model.pending : this.renaming !== row.path) return; // done already: Enter is followed by blur
      const dir = row.isNew ? this.model.pending.dir : parent(row.path);
      this.renaming = null;
      this.change(() => this.model.setPending(null));
      const name = typed.trim().replace(/^\/+|\/+$/g, "");
      if (!name || name === row.name) return;
      const path = join(dir, name);
      await this.attempt(async () => {
        if (!row.isNew) await this.remote.move(row.path, path);
        else if (row.kind === "d") await this.remote.createDir(path);
        else await this.remote.createFile(path);
        await this.load(dir);
        if (row.isNew && row.kind === "f") this.openFile(path);
        if (!row.isNew) this.moved(row.path, path);
        this.reveal(path);
      });
    },
    async remove(rows) {
      if (!rows.length) return;
      const sure = await sureToDelete(rows);
      this.$refs.view.focus();
      if (!sure) return;
      const at = this.model.indexOf(rows[0].path);
      await this.attempt(async () => {
        for (const { path } of rows) {
          await this.remote.remove(path);
          this.removed(path);
        }
      });
      await Promise.all([...new Set(rows.map(({ path }) => parent(path)))].map((dir) => this.load(dir)));
      const left = this.model.rows();
      this.select(left[Math.min(at, left.length - 1)]?.path ?? null);
    },
    async move(paths, dir) {
      const moving = topmost(paths).filter((from) => parent(from) !== dir && !isWithin(dir, from));
      const moved = [];
      await this.attempt(async () => {
        for (const from of moving) {
          const to = join(dir, basename(from));
          await this.remote.move(from, to);
          this.moved(from, to);
          moved.push(to);
        }
      });
      if (!moved.length) return;
      await Promise.all([...new Set([...moving.map(parent), dir])].map((one) => this.load(one)));
      await this.reveal(moved.at(-1));
      this.setSelection(these(moved));
    },
    download(rows) {
      for (const row of rows) Object.assign(document.createElement("a"), { href: this.remote.downloadUrl(row), download: "" }).click();
    },
    async choose(what) {
      const dir = dirOf(this.row());
      await this.send(dir, { files: await chosenFiles(what), emptyDirs: [] });
    },
    async send(dir, dropped) {
      const names = namesOf(dropped);
      if (!names.length) return;
      const there = namesOf({ ...dropped, emptyDirs: [] }).filter((name) => this.model.has(join(dir, name)));
      if (there.length && !(await sureToReplace(there))) return;
      await this.attempt(() => sendFiles(this.remote, dir, dropped, (progress) => (this.upload = progress)));
      this.upload = null;
      await this.load(dir);
    },
    menu(event, row) {
      if (row && !isEntry(row)) return;
      if (!row || !this.picked.has(row.path)) this.select(row?.path ?? null);
      const several = this.picked.size > 1 ? this.chosen() : [];
      const box = row && document.getElementById(this.rowId(row.path))?.getBoundingClientRect();
      const at = event.clientX ? { x: event.clientX, y: event.clientY } : { x: (box?.left ?? 0) + 60, y: box?.bottom ?? 100 };
      const does = {
        download: this.download, copy: this.copy, showHistory: this.showHistory, remove: this.remove, rename: (path) => (this.renaming = path),
      };
      openMenu(menuItems({ row, several, everything: EVERYTHING, readonly: this.readonly, additions: this.additions, does }), at);
    },
    showHistory(path) {
      window.dispatchEvent(new CustomEvent(SHOW_HISTORY, { detail: path }));
    },
    copy(path) {
      // The clipboard API needs https; this way also works over plain http.
      const area = Object.assign(document.createElement("textarea"), { value: path });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    },

    // drag and drop
    dragStart(event, row) {
      if (!this.picked.has(row.path)) this.select(row.path);
      const paths = [...this.picked];
      event.dataTransfer.setData(DRAG_TYPE, JSON.stringify(paths));
      event.dataTransfer.setData("text/plain", paths.join("\n"));
      event.dataTransfer.effectAllowed = "move";
    },
    dragOver(event, row) {
      const types = event.dataTransfer.types;
      if (this.readonly || !(types.includes(DRAG_TYPE) || types.includes("Files"))) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = types.includes("Files") ? "copy" : "move";
      const dir = dirOf(row);
      if (dir === this.dropDir) return;
      this.dropDir = dir;
      clearTimeout(this.hover);
      if (row?.kind === "d" && !row.isOpen) this.hover = setTimeout(() => this.dropDir === dir && this.toggle(row, true), HOVER_OPEN_MS);
    },
    dragLeave() {
      clearTimeout(this.hover);
      this.dropDir = null;
    },
    async drop(event, row) {
      if (this.readonly) return;
      event.preventDefault();
      this.dragLeave();
      const dir = dirOf(row);
      const paths = event.dataTransfer.getData(DRAG_TYPE);
      if (paths) await this.move(JSON.parse(paths), dir);
      else await this.send(dir, await filesOf(event.dataTransfer));
    },
  },
};
