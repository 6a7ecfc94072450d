// What is typed into a terminal: each message arrives once and in its order, whatever happens to connections.
const UNTOLD_BYTES = 64 * 1024; // on their way; the rest of a paste waits until some are told taken
const MAX_AWAY_BYTES = 64 * 1024; // typed while away: beyond this nobody knows any more what they would do

const randomId = () => [...crypto.getRandomValues(new Uint8Array(8))].map((one) => one.toString(16).padStart(2, "0")).join("");

const bytesOf = (messages) => messages.reduce((sum, { length }) => sum + length, 0);
const toPlain = (messages) => messages.map((message) => [...message]);
const fromPlain = (messages) => messages.map((message) => Uint8Array.from(message));

export class Typed {
  #id = randomId();
  #sent = 0; // bytes in all, each counted once
  #untold = []; // messages that were sent, and are not told to be taken
  #untoldBytes = 0;
  #unsent = [];
  #unsentBytes = 0;

  /** `send(bytes)`: false when there is no link. `kept`: what `kept` gave the page that was here before, or null. */
  constructor(send, kept) {
    this.send = send;
    if (kept) this.#unsent = fromPlain(kept.unsent);
    if (kept?.id) {
      this.#id = kept.id; // to the terminal the same page
      this.#sent = kept.sent;
      this.#untold = fromPlain(kept.untold);
    }
    this.#unsentBytes = bytesOf(this.#unsent);
    this.#untoldBytes = bytesOf(this.#untold);
  }

  /** What the terminal knows this page by, and takes as sent if it does not. */
  get page() {
    return `${this.#id}.${this.#sent}`;
  }

  /** For the page that is here next, in plain data: {unsent}, with {id, sent, untold} if it is to say that again where it
   * was lost; null if there is nothing. `hasArrived`: what was sent has, though that is not told. Then it is not kept: it
   * may be a password. */
  kept(hasArrived) {
    const unsent = toPlain(this.#unsent);
    if (hasArrived || !this.#untold.length) return unsent.length ? { unsent } : null;
    return { id: this.#id, sent: this.#sent, untold: toPlain(this.#untold), unsent };
  }

  /** Whether so many bytes more may wait while away. */
  keeps(length) {
    return this.#untoldBytes + this.#unsentBytes + length <= MAX_AWAY_BYTES;
  }

  /** One message. */
  add(bytes, isAway) {
    this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
    if (!isAway) this.#flush();
  }

  /** Of all bytes so many are taken. */
  taken(count) {
    this.#tell(count);
    this.#flush();
  }

  /** Over another connection: whatever is not taken is lost, and sent again as it was. */
  resume(count) {
    this.#tell(count);
    this.#unsent.unshift(...this.#untold);
    this.#unsentBytes += this.#untoldBytes;
    this.#sent -= this.#untoldBytes;
    this.#untold = [];
    this.#untoldBytes = 0;
    this.#flush();
  }

  forget() {
    this.#untold = [];
    this.#unsent = [];
    this.#untoldBytes = this.#unsentBytes = 0;
  }

  #tell(count) {
    while (this.#untold.length && this.#sent - this.#untoldBytes < count) this.#untoldBytes -= this.#untold.shift().length;
  }

  #flush() {
    while (this.#unsent.length && this.#untoldBytes + this.#unsent[0].length <= UNTOLD_BYTES) {
      if (!this.send(this.#unsent[0])) return;
      const message = this.#unsent.shift();
      this.#untold.push(message);
      this.#unsentBytes -= message.length;
      this.#untoldBytes += message.length;
      this.#sent += message.length;
    }
  }
}
