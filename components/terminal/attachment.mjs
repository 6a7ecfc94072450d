// One attachment of a terminal: asks for the output from the byte it has, also after a cut, and acknowledges what was
// rendered. What is typed arrives once.
import { Connection } from "../repl/connection.mjs";
import { Typed } from "./typed.mjs";
import { NO_SUCH_TERMINAL, ack, decode, input, ping, resize, turn } from "./wire.mjs";

const ACK_BYTES = 32 * 1024; // rendered and not acknowledged: at once; less within ACK_MS
const ACK_MS = 8; // little beside the 30 ms of output that the proxy lets wait in a link
const PASTE_BYTES = 16 * 1024; // a message; a larger paste is several

export class Attachment {
  /** `path(after)`: where the output from that byte on comes from, with a query.
   * `on`: {output(bytes, rendered), gap(count, isBehindSome), modes(bytes), unkept(count), exited(about), size(cols, rows),
   * ready(about), people(about), refused(about), state(name)}. `kept`: what `kept` gave the page that was here before. */
  constructor(path, on, kept = null) {
    this.on = on;
    this.offset = 0; // the next byte this side wants
    this.cuts = 0;
    this.isReady = false;
    this.forgetAcks();
    this.typed = new Typed((bytes) => this.connection.send(input(bytes), { usuallyEchoed: true }), kept);
    this.connection = new Connection(() => `${path(this.offset)}&page=${this.typed.page}`, {
      message: (data) => this.receive(decode(data)),
      lost: (code) => this.lost(code),
      ping: () => this.connection.send(ping()),
    });
  }

  close() {
    this.forgetAcks();
    this.connection.close();
  }

  lost(code) {
    this.cuts += 1;
    this.isReady = false;
    this.forgetAcks();
    if (code === NO_SUCH_TERMINAL) {
      this.typed.forget();
      this.close();
    }
    this.on.state(code === NO_SUCH_TERMINAL ? "gone" : "reconnecting");
  }

  /** Keys; what is typed while there is no link is sent when it is back. A paste is kept whole or not at all: without
   * its end a shell takes whatever is typed afterwards for more of it. */
  type(bytes) {
    if (!this.isReady && !this.typed.keeps(bytes.length)) {
      this.on.unkept(bytes.length);
      return;
    }
    for (let from = 0; from < bytes.length; from += PASTE_BYTES) {
      this.typed.add(bytes.subarray(from, from + PASTE_BYTES), !this.isReady);
    }
  }

  /** The keys that may not have arrived; null if it seems that all have. After a cut nobody knows, whatever came before it. */
  get kept() {
    return this.typed.kept(this.isReady && this.connection.isAnswered);
  }

  /** 0 x 0 for a screen that is hidden. */
  resize(cols, rows) {
    this.connection.send(resize(cols, rows));
  }

  /** The turn to type, to a person by their number here. */
  give(person) {
    this.connection.send(turn(person));
  }

  receive(message) {
    switch (message?.kind) {
      case "ready":
        this.isReady = true;
        this.on.ready(message.about);
        this.on.state("live");
        this.typed.resume(message.about.taken);
        return;
      case "taken":
        this.typed.taken(message.count);
        return;
      case "output":
        this.output(message);
        return;
      case "gap":
        this.on.gap(message.to - message.from, this.offset > 0);
        this.offset = message.to;
        return;
      case "exited":
      case "people":
      case "refused":
        this.on[message.kind](message.about);
        return;
      case "modes":
        this.on.modes(message.bytes);
        return;
      case "size":
        this.on.size(message.cols, message.rows);
    }
  }

  output({ from, bytes }) {
    const upto = from + bytes.length;
    const fresh = from < this.offset ? bytes.subarray(this.offset - from) : bytes; // some it had before the cut
    if (!fresh.length) return;
    this.offset = upto;
    const { cuts } = this;
    this.on.output(fresh, () => cuts === this.cuts && this.acknowledge(upto));
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
    this.connection.send(ack(this.rendered));
  }

  forgetAcks() {
    clearTimeout(this.acking);
    this.acking = undefined;
    this.acknowledged = -ACK_BYTES; // the first after a cut goes at once
  }
}
