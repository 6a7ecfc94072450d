// Open files over one WebSocket: replicas, what is saved, and coming back after a cut or a restart of the server.
import * as Y from "yjs";
import { Connection } from "../repl/connection.mjs";
import { apply, bytesOf, difference, equal } from "./splices.mjs";
import { CONTENT, KIND, READ_ONLY, STEP_1, STEP_2, UPDATE, decode, encode } from "./wire.mjs";

const RESYNC_PINGS = 3; // the state is compared again this often, which heals what got lost
// Reasons of a RESET by which the server refused the change itself: it must not come back.
const NOT_KEPT = {
  "too-large": "The file would become too large to edit. The last change was not kept.",
  "read-only": "The file can only be read now. The last change was not kept.",
};

/** One open file. `onReplica()` asks to show another Y.Text, `onState()` says that one of the fields changed, `onMoved(to)`
 * that the path is about to: whatever is open there has been replaced. */
class SharedFile {
  constructor(path) {
    Object.assign(this, { path, guid: "", digest: "", held: null, atMs: 0, channel: 0 }); // `held` is the saved text, `atMs` of when
    Object.assign(this, { state: "opening", reason: "", readOnly: false, dirty: false, notice: { code: "", message: "" } });
    this.doc = null; // what is shown
    this.next = null; // a replica of a newer history, until it holds all of what was typed into the one that is shown
    this.greeted = false; // the first SAVED of this connection has come
    this.pending = []; // unsaved changes of former histories that the server has not confirmed: {base, splices}
    this.discard = false; // the shown replica holds what the server refused
    this.former = null; // {text, atMs}: what was shown, and when it was saved, where the server came back with another text
    this.onReplica = this.onState = this.onMoved = () => {};
  }

  get text() {
    return this.doc.getText(CONTENT);
  }

  get synced() {
    return this.state === "open" && this.channel > 0 && !this.next;
  }

  /** As `former`, also where the server came back without the file. */
  get kept() {
    return this.state === "refused" && this.reason === "missing" && this.doc ? { text: bytesOf(this.text.toString()), atMs: this.atMs } : this.former;
  }

  /** What is shown and was never saved, as change of the saved text. */
  unsaved() {
    if (!this.doc || !this.held || this.discard) return [];
    return difference(this.held, bytesOf(this.text.toString()));
  }
}

export class Documents {
  /** `path` is that of the WebSocket; `onOnline(online)` hears whether the link is up. */
  constructor(path, { onOnline }) {
    this.files = new Map();
    this.pings = 0;
    this.connection = new Connection(() => path, {
      opened: () => {
        for (const file of this.files.values()) this.sendOpen(file);
        onOnline(true);
      },
      lost: () => {
        for (const file of this.files.values()) this.detach(file);
        onOnline(false);
      },
      message: (data) => this.onMessage(decode(new Uint8Array(data))),
      ping: () => this.ping(),
    });
  }

  close() {
    this.connection.close();
    for (const file of this.files.values()) file.doc?.destroy();
  }

  /** `pending` are changes of an earlier load of the page that did not reach the server. `typed`, {text, held}, is what
   * was typed into before there was a server: it is shown until the server's replica comes, and what is typed is merged. */
  open(path, pending = [], typed = null) {
    const file = new SharedFile(path);
    file.pending.push(...pending);
    this.files.set(path, file);
    if (typed) {
      Object.assign(file, { held: typed.held, dirty: true });
      this.show(file, { guid: "", doc: typed.text.doc });
    }
    this.sendOpen(file);
    return file;
  }

  forget(file) {
    this.files.delete(file.path);
    if (file.channel) this.send(KIND.CLOSE, { channel: file.channel });
    file.doc?.destroy();
    file.next?.doc.destroy();
  }

  /** The file is at another path now. */
  move(file, path) {
    if (path === file.path) return;
    file.onMoved(path);
    this.files.delete(file.path);
    file.path = path;
    this.files.set(path, file);
    if (file.state === "refused") this.sendOpen(file);
  }

  /** What may exist nowhere else, as [{path, changes}]: typed and not saved. Nothing but SAVED says that the server has it. */
  undelivered() {
    const found = [];
    for (const file of this.files.values()) {
      const changes = [...file.pending];
      const typed = file.dirty ? file.unsaved() : [];
      if (typed.length) changes.push({ base: file.held, splices: typed });
      if (changes.length) found.push({ path: file.path, changes });
    }
    return found;
  }

  /** Save now; returns false when there is no link. */
  flush(file) {
    return file.synced && this.send(KIND.FLUSH, { channel: file.channel });
  }

  /** Merge a text that was kept, as the change of `base` that it was; twice is as good as once. */
  putBack(file, base, text) {
    const change = { base, splices: difference(base, text) };
    file.former = null;
    file.pending.push(change);
    if (file.channel && file.greeted) this.send(KIND.REBASE, { channel: file.channel, ...change });
    file.onState();
  }

  // what the server is told

  send(kind, message) {
    return this.connection.send(encode(kind, message));
  }

  sendOpen({ path, guid, digest, held }) {
    this.send(KIND.OPEN, { path, guid, digest: held ? digest : "" });
  }

  sendState(channel, doc) {
    this.send(KIND.SYNC, { channel, step: STEP_1, payload: Y.encodeStateVector(doc) });
  }

  ping() {
    this.pings++;
    this.send(KIND.PING, { number: this.pings });
    if (this.pings % RESYNC_PINGS !== 0) return;
    for (const file of this.files.values()) if (file.synced) this.sendState(file.channel, file.doc);
  }

  // what the server tells

  onMessage(message) {
    if (message.kind === KIND.OPENED) {
      const file = this.files.get(message.path);
      if (file) this.onOpened(file, message);
      else if (message.channel) this.send(KIND.CLOSE, { channel: message.channel });
      return;
    }
    for (const file of this.files.values()) {
      if (file.channel && file.channel === message.channel) this.onFileMessage(file, message);
    }
  }

  onFileMessage(file, message) {
    switch (message.kind) {
      case KIND.SYNC: return this.onSync(file, message);
      case KIND.SAVED: return this.onSaved(file, message);
      case KIND.RESET: return this.onReset(file, message.reason);
      case KIND.REBASED: return this.onRebased(file);
      case KIND.MOVED: return this.move(file, message.path);
      case KIND.NOTICE: file.notice = { code: message.code, message: message.message }; return file.onState();
    }
  }

  onOpened(file, { channel, guid, flags, reason }) {
    file.reason = reason;
    if (!file.discard) file.notice = { code: "", message: "" };
    file.channel = channel;
    file.greeted = false;
    if (!channel) {
      file.state = "refused";
      return file.onState();
    }
    file.readOnly = Boolean(flags & READ_ONLY);
    if (guid !== file.guid) file.next = { guid, doc: new Y.Doc(), held: null, digest: "" }; // histories are never merged
    this.sendState(channel, file.next?.doc ?? file.doc);
  }

  onSync(file, { step, payload }) {
    const doc = file.next?.doc ?? file.doc;
    if (step === STEP_1) {
      this.send(KIND.SYNC, { channel: file.channel, step: STEP_2, payload: Y.encodeStateAsUpdate(doc, payload) });
    } else {
      Y.applyUpdate(doc, payload, this);
    }
  }

  onSaved(file, { digest, atMs, whole, splices }) {
    if (file.greeted && file.notice.code in NOT_KEPT) file.notice = { code: "", message: "" }; // a later change was kept
    const to = file.next ?? file;
    if (whole) to.held = apply(new Uint8Array(), splices);
    else if (to.held) to.held = apply(to.held, splices);
    else to.held = file.held && digest === file.digest ? file.held : bytesOf(to.doc.getText(CONTENT).toString());
    Object.assign(to, { digest, atMs });
    if (!file.greeted) for (const one of file.pending) this.send(KIND.REBASE, { channel: file.channel, ...one });
    file.greeted = true;
    if (file.next) return this.moveOn(file);
    file.dirty = !equal(file.held, bytesOf(file.text.toString()));
    file.onState();
  }

  /** Show the new replica once it holds all that was typed: whoever goes on typing meanwhile does so behind that. */
  moveOn(file) {
    const lost = file.unsaved();
    if (lost.length) {
      const change = { base: file.held, splices: lost };
      file.pending.push(change);
      Object.assign(file, { held: apply(file.held, lost), digest: "" }); // what follows is a change of this
      this.send(KIND.REBASE, { channel: file.channel, ...change });
    }
    if (file.pending.length) return file.onState();
    const { held, digest, atMs, doc } = file.next;
    const text = file.doc && !file.discard ? bytesOf(file.text.toString()) : null;
    if (text && !equal(text, bytesOf(doc.getText(CONTENT).toString()))) file.former = { text, atMs: file.atMs };
    this.show(file, file.next);
    Object.assign(file, { held, digest, atMs, state: "open", dirty: !equal(held, bytesOf(file.text.toString())) });
    file.onState();
  }

  /** Without a channel there are no edits to send; a replica that is not complete is of no use any more. */
  detach(file) {
    file.channel = 0;
    file.next?.doc.destroy();
    file.next = null;
  }

  onRebased(file) {
    file.pending.shift();
    if (file.next?.held) this.moveOn(file);
    else file.onState();
  }

  onReset(file, reason) {
    file.channel = 0;
    file.discard = reason in NOT_KEPT;
    if (file.discard) file.notice = { code: reason, message: NOT_KEPT[reason] };
    file.guid = "reset"; // whatever comes, this replica is over
    this.sendOpen(file);
  }

  /** Show a replica that is complete. */
  show(file, { guid, doc }) {
    file.doc?.destroy();
    Object.assign(file, { guid, doc, next: null, discard: false });
    doc.on("update", (payload, origin) => {
      if (origin !== this && file.synced) this.send(KIND.SYNC, { channel: file.channel, step: UPDATE, payload });
      if (!file.dirty) {
        file.dirty = true;
        file.onState();
      }
    });
    file.onReplica();
  }
}
