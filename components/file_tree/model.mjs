// What the tree shows, without a DOM: directories as far as they are loaded, which are open, and the rows that follow from it.

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const NAME = 0;
const KIND = 1; // "d" directory, "f" file, "l" symbolic link, "o" something else

const order = (a, b) => (a[KIND] === "d") === (b[KIND] === "d")
  ? collator.compare(a[NAME], b[NAME]) || (a[NAME] < b[NAME] ? -1 : 1)
  : a[KIND] === "d" ? -1 : 1;

export const join = (dir, name) => (dir ? `${dir}/${name}` : name);
export const parent = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
export const basename = (path) => path.slice(path.lastIndexOf("/") + 1);
export const isEntry = (row) => !row.isNew && !row.isNote; // a file or folder that is there
export const isWithin = (path, dir) => dir === "" || path === dir || path.startsWith(`${dir}/`);

/** Those of `paths` that lie in no other of them, in order. */
export function topmost(paths) {
  const all = new Set(paths);
  const lies = (path) => path !== "" && (all.has(parent(path)) || lies(parent(path)));
  return [...all].filter((path) => !lies(path)).sort();
}

export class TreeModel {
  #dirs = new Map(); // path -> sorted entries [name, kind, size, how to show a name that is no text?]
  #touched = new Map(); // path -> revision of the last change heard, to notice a listing that is older
  #rows = null;
  #at = null;

  constructor(open = []) {
    this.open = new Set(open);
    this.pending = null; // {dir, kind}: the row in which a new name is being typed
  }

  isLoaded(dir) {
    return this.#dirs.has(dir);
  }

  loadedDirs() {
    return [...this.#dirs.keys()];
  }

  /** Takes a listing; false when a change newer than it was heard, so that it must be asked for again. */
  setDir(dir, rev, entries) {
    if ((this.#touched.get(dir) ?? -1) > rev) return false;
    this.#dirs.set(dir, entries.toSorted(order));
    this.#changed();
    return true;
  }

  /** Applies the operations of a `tree` event: [dir, [[name, kind, size]...], [removed name...]]. */
  apply(rev, ops) {
    for (const [dir, entries, removed] of ops) {
      this.#touched.set(dir, rev);
      const known = this.#dirs.get(dir);
      for (const name of removed) this.#dropped(join(dir, name));
      if (!known) continue;
      const byName = new Map(known.map((entry) => [entry[NAME], entry]));
      for (const name of removed) byName.delete(name);
      for (const entry of entries) {
        if (entry[KIND] !== "d") this.#dropped(join(dir, entry[NAME]));
        byName.set(entry[NAME], entry);
      }
      this.#dirs.set(dir, [...byName.values()].sort(order));
    }
    this.#changed();
  }

  #dropped(path) {
    if (!this.#dirs.has(path)) return;
    for (const dir of this.#dirs.keys()) if (isWithin(dir, path)) this.#dirs.delete(dir);
  }

  setOpen(dir, isOpen) {
    if (isOpen) this.open.add(dir);
    else this.open.delete(dir);
    this.#changed();
  }

  collapseAll() {
    this.open.clear();
    this.#changed();
  }

  setPending(pending) {
    this.pending = pending;
    this.#changed();
  }

  #changed() {
    this.#rows = this.#at = null;
  }

  /** Visible rows from top to bottom: {path, name, shown, kind, depth, isOpen, at, of} (`at` of `of` siblings, from 1). */
  rows() {
    if (this.#rows) return this.#rows;
    const rows = [];
    const visit = (dir, depth) => {
      const entries = this.#dirs.get(dir);
      if (this.pending?.dir === dir) rows.push({ path: `${dir}/\0new`, name: "", shown: "", kind: this.pending.kind, depth, isNew: true, at: 1, of: 1 });
      if (!entries) {
        if (dir) rows.push({ path: `${dir}/\0wait`, name: "", shown: "Loading…", kind: "", depth, isNote: true, at: 1, of: 1 });
        return;
      }
      entries.forEach(([name, kind, , shown], index) => {
        const path = join(dir, name);
        const isOpen = kind === "d" && this.open.has(path);
        rows.push({ path, name, shown: shown ?? name, kind, depth, isOpen, at: index + 1, of: entries.length });
        if (isOpen) visit(path, depth + 1);
      });
    };
    visit("", 0);
    this.#rows = rows;
    return rows;
  }

  indexOf(path) {
    this.#at ??= new Map(this.rows().map((row, index) => [row.path, index]));
    return this.#at.get(path) ?? -1;
  }

  has(path) {
    return (this.#dirs.get(parent(path)) ?? []).some((entry) => entry[NAME] === basename(path));
  }
}
