// One attachment of a terminal: asks for the output from the byte it has, also after a cut, and acknowledges what was
// rendered. The wire is described in runner/proxy/terminals/wire.py.
import { Connection } from "../repl/connection.mjs";

const INPUT = 1, RESIZE = 2, ACK = 3, PING = 5;
const OUTPUT = 17, GAP = 18, EXITED = 19, SIZE = 20, READY = 22;
const NO_SUCH_TERMINAL = 4404;
const ACK_BYTES = 32 * 1024; // rendered and not acknowledged: at once; less within ACK_MS
const ACK_MS = 8; // little beside the 30 ms of output that the proxy lets wait in a link
const PASTE_BYTES = 64 * 1024; // a message; a larger paste is several
const MAX_PENDING_BYTES = 64 * 1024; // keys typed while away: beyond this nobody knows any more what they would do

export class Attachment {
  /** `path(after)`: where the output from that byte on comes from.
   * `on`: {output(bytes, rendered), gap(bytes), exited(about), size(cols, rows), ready(about), state(name)}. */
  constructor(path, on) {
    this.on = on;
    this.offset = 0; // the next byte this side wants
    this.cuts = 0;
    this.forgetAcks();
    this.forgetPending();
    this.connection = new Connection(() => path(this.offset), {
      message: (data) => this.receive(new DataView(data)),
      lost: (code) => this.lost(code),
      ping: () => this.send(PING, 4, (view) => view.setUint32(1, 1)),
    });
  }

  close() {
    this.forgetAcks();
    this.connection.close();
  }

  lost(code) {
    this.cuts += 1;
    this.forgetAcks();
    if (code === NO_SUCH_TERMINAL) this.close();
    this.on.state(code === NO_SUCH_TERMINAL ? "gone" : "reconnecting");
  }

  // what the proxy tells

  receive(view) {
    switch (view.getUint8(0)) {
      case READY:
        this.on.ready(readJson(view));
        this.on.state("live");
        this.typePending();
        return;
      case OUTPUT:
        this.output(Number(view.getBigUint64(1)), new Uint8Array(view.buffer, view.byteOffset + 9));
        return;
      case GAP: {
        const from = Number(view.getBigUint64(1)), to = Number(view.getBigUint64(9));
        this.offset = to;
        this.on.gap(to - from);
        return;
      }
      case EXITED:
        this.on.exited(readJson(view));
        return;
      case SIZE:
        this.on.size(view.getUint16(1), view.getUint16(3));
    }
  }

  output(from, bytes) {
    const upto = from + bytes.length;
    if (from < this.offset) bytes = bytes.subarray(this.offset - from); // had it before the cut
    if (!bytes.length) return;
    this.offset = upto;
    const { cuts } = this;
    this.on.output(bytes, () => cuts === this.cuts && this.acknowledge(upto));
  }

  // what the proxy is told

  send(kind, length, fill) {
    if (!this.connection.isOpen) return;
    const view = new DataView(new ArrayBuffer(1 + length));
    view.setUint8(0, kind);
    fill(view);
    this.connection.send(view.buffer);
  }

  acknowledge(offset) {
    this.rendered = offset;
    if (offset - this.acknowledged >= ACK_BYTES) this.sendAck();
    else this.acking ??= setTimeout(() => this.sendAck(), ACK_MS);
  }

  sendAck() {
    clearTimeout(this.acking);
    this.acking = undefined;
    this.acknowledged = this.rendered;
    this.send(ACK, 8, (view) => view.setBigUint64(1, BigInt(this.rendered)));
  }

  forgetAcks() {
    clearTimeout(this.acking);
    this.acking = undefined;
    this.acknowledged = -ACK_BYTES; // the first after a cut goes at once
  }

  resize(cols, rows) {
    this.send(RESIZE, 4, (view) => (view.setUint16(1, cols), view.setUint16(3, rows)));
  }

  /** Keys; kept while there is no link, up to a screenful, and sent when it is back. */
  type(bytes) {
    for (let from = 0; from < bytes.length; from += PASTE_BYTES) {
      const piece = bytes.subarray(from, from + PASTE_BYTES);
      if (this.connection.isOpen) this.send(INPUT, piece.length, (view) => new Uint8Array(view.buffer).set(piece, 1));
      else if (this.pendingBytes + piece.length <= MAX_PENDING_BYTES) {
        this.pending.push(piece);
        this.pendingBytes += piece.length;
      }
    }
  }

  typePending() {
    const { pending } = this;
    this.forgetPending();
    for (const piece of pending) this.type(piece);
  }

  forgetPending() {
    this.pending = [];
    this.pendingBytes = 0;
  }
}

function readJson(view) {
  return JSON.parse(new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + 1)));
}
