// The line to one terminal: attaches, attaches again from the byte it has, and acknowledges what was rendered.
// The wire is described in runner/proxy/terminals/wire.py.

const INPUT = 1, RESIZE = 2, ACK = 3, PING = 5;
const OUTPUT = 17, GAP = 18, EXITED = 19, SIZE = 20, PONG = 21, READY = 22;
const FIRST_DELAY_MS = 200, MAX_DELAY_MS = 10_000;
const PING_MS = 20_000; // proxies cut what is silent for 60 s
const SILENT_MS = 45_000; // two pings without an answer: the network is gone though nobody said so
const NO_SUCH_TERMINAL = 4404;
const ACK_BYTES = 32 * 1024; // rendered and not acknowledged: at once; less within ACK_MS
const ACK_MS = 8; // little beside the 30 ms of output that the proxy lets wait in a link
const PASTE_BYTES = 64 * 1024; // a message; a larger paste is several
const MAX_PENDING_BYTES = 64 * 1024; // keys typed while away: beyond this nobody knows any more what they would do

export class Line {
  /** `on`: {output(bytes, rendered), gap(bytes), exited(about), size(cols, rows), ready(about), state(name)}. */
  constructor(address, on) {
    this.address = address;
    this.on = on;
    this.offset = 0; // the next byte this side wants
    this.delay = FIRST_DELAY_MS;
    this.pending = [];
    this.pendingBytes = 0;
    this.closed = false;
    this.wake = () => this.socket || this.connect();
    addEventListener("online", this.wake);
    this.connect();
  }

  connect() {
    if (this.closed) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(this.address(this.offset));
    this.socket = socket;
    this.acknowledged = -ACK_BYTES; // of each socket the first is at once
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => {
      this.heardAt = performance.now();
      if (socket === this.socket) this.receive(new DataView(event.data));
    };
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
    this.heardAt = performance.now();
    clearInterval(this.pinging);
    this.pinging = setInterval(() => this.ping(), PING_MS);
  }

  lost(code) {
    clearInterval(this.pinging);
    clearTimeout(this.acking);
    this.acking = undefined;
    this.socket = null;
    if (this.closed) return;
    if (code === NO_SUCH_TERMINAL) {
      this.close();
      this.on.state("gone");
      return;
    }
    this.on.state("reconnecting");
    this.timer = setTimeout(() => this.connect(), this.delay * (0.5 + Math.random()));
    this.delay = Math.min(this.delay * 2, MAX_DELAY_MS);
  }

  ping() {
    if (performance.now() - this.heardAt > SILENT_MS) {
      const socket = this.socket;
      this.socket = null;
      socket?.close();
      this.lost(0);
    } else this.send(PING, 4, (view) => view.setUint32(1, 1));
  }

  receive(view) {
    switch (view.getUint8(0)) {
      case OUTPUT: {
        const from = Number(view.getBigUint64(1));
        let bytes = new Uint8Array(view.buffer, view.byteOffset + 9);
        if (from < this.offset) bytes = bytes.subarray(this.offset - from); // had it before the line was cut
        const upto = from + view.byteLength - 9;
        if (!bytes.length) return;
        this.offset = upto;
        const socket = this.socket;
        this.on.output(bytes, () => socket === this.socket && this.acknowledge(upto));
        return;
      }
      case GAP: {
        const from = Number(view.getBigUint64(1)), to = Number(view.getBigUint64(9));
        this.offset = to;
        this.on.gap(to - from);
        return;
      }
      case EXITED:
        this.on.exited(this.json(view));
        return;
      case SIZE:
        this.on.size(view.getUint16(1), view.getUint16(3));
        return;
      case PONG:
        return;
      case READY:
        this.delay = FIRST_DELAY_MS;
        this.on.ready(this.json(view));
        this.on.state("live");
        this.flush();
    }
  }

  json(view) {
    return JSON.parse(new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + 1)));
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(kind, length, fill) {
    if (!this.open) return;
    const view = new DataView(new ArrayBuffer(1 + length));
    view.setUint8(0, kind);
    fill(view);
    this.socket.send(view.buffer);
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

  resize(cols, rows) {
    this.send(RESIZE, 4, (view) => (view.setUint16(1, cols), view.setUint16(3, rows)));
  }

  /** Keys; kept while the line is down, up to a screenful, and sent when it is back. */
  type(bytes) {
    for (let from = 0; from < bytes.length; from += PASTE_BYTES) {
      const piece = bytes.subarray(from, from + PASTE_BYTES);
      if (this.open) this.send(INPUT, piece.length, (view) => new Uint8Array(view.buffer).set(piece, 1));
      else if (this.pendingBytes + piece.length <= MAX_PENDING_BYTES) {
        this.pending.push(piece);
        this.pendingBytes += piece.length;
      }
    }
  }

  flush() {
    const pending = this.pending;
    this.pending = [];
    this.pendingBytes = 0;
    for (const piece of pending) this.type(piece);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.acking);
    clearInterval(this.pinging);
    removeEventListener("online", this.wake);
    this.socket?.close();
    this.socket = null;
  }
}
