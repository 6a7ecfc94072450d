// The versions of a REPL as its timeline shows them: newest first, older ones as they are wanted.
import { callJson, encodePath, replUrl } from "../repl/http.mjs";

const AT_ONCE = 30;

export class Versions {
  /** With `path`, those in which it is not what it was in the version before. */
  constructor(replId, path) {
    this.url = `${replUrl(replId)}/snapshots`;
    this.path = path;
    this.listed = [];
    this.after = null; // the last one looked at
    this.isWhole = false; // the oldest is there
  }

  async #page(before, signal) {
    const where = [`limit=${AT_ONCE}`, before && `before=${before}`, this.path && `path=${encodePath(this.path)}`];
    return callJson(`${this.url}?${where.filter(Boolean).join("&")}`, { signal });
  }

  /** Adds the next older ones; returns what is safe now. */
  async more(signal) {
    const { versions, stored, next } = await this.#page(this.after, signal);
    const known = new Set(this.listed.map(({ version }) => version)); // two may have asked for the same ones
    this.listed = [...this.listed, ...versions.filter(({ version }) => !known.has(version))];
    this.#goOn(next);
    return stored;
  }

  /** Takes in what is new, and names that changed. */
  async refresh(signal) {
    const { versions, stored, next } = await this.#page(null, signal);
    const fresh = new Set(versions.map(({ version }) => version));
    const older = this.listed.findIndex(({ version }) => version === versions.at(-1)?.version) + 1;
    if (older && versions.length) this.listed = [...versions, ...this.listed.slice(older).filter(({ version }) => !fresh.has(version))];
    else {
      this.listed = versions; // there are so many new ones that what was listed does not follow
      this.#goOn(next);
    }
    return stored;
  }

  #goOn(next) {
    this.after = next;
    this.isWhole = next === null;
  }
}
