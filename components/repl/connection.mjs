// A WebSocket of the REPL that comes back: after a cut it is opened again, with pauses that grow while it fails.

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
const PING_MS = 10_000; // proxies on the way cut what is silent for 60 s
const DEAD_MS = 15_000; // nothing heard for so long after a ping: the network is gone though nobody said so

export class Connection {
  #socket = null; // null between a cut and the next attempt
  #waitMs = FIRST_WAIT_MS;
  #isClosed = false;
  #waiting;
  #pinging;
  #heardAt;
  #pingedAt;

  /** `path()` says at each attempt which path of this origin. `on`: {opened(), message(data), lost(code), ping()}: all but
   * `message` may be left out; `ping` sends something that the server answers. Closing it in `lost` ends the attempts. */
  constructor(path, on) {
    this.path = path;
    this.on = on;
    window.addEventListener("online", this.#retryNow);
    document.addEventListener("visibilitychange", this.#retryNow);
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Bytes that were sent and have not left this machine. */
  get bufferedBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Returns false, and sends nothing, while there is no link. */
  send(data) {
    if (!this.isOpen) return false;
    this.#socket.send(data);
    return true;
  }

  /** For good; nothing is heard any more. */
  close() {
    this.#isClosed = true;
    clearTimeout(this.#waiting);
    window.removeEventListener("online", this.#retryNow);
    document.removeEventListener("visibilitychange", this.#retryNow);
    this.#abandon();
  }

  #connect() {
    clearTimeout(this.#waiting);
    const socket = new WebSocket(new URL(this.path(), location.href.replace(/^http/, "ws")));
    const whileCurrent = (react) => (event) => socket === this.#socket && react(event);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = whileCurrent(() => {
      this.#heardAt = performance.now();
      this.on.opened?.();
    });
    socket.onmessage = whileCurrent(({ data }) => {
      this.#heardAt = performance.now();
      this.#waitMs = FIRST_WAIT_MS;
      this.on.message(data);
    });
    socket.onclose = whileCurrent(({ code }) => this.#lost(code));
    this.#heardAt = this.#pingedAt = performance.now();
    if (this.on.ping) this.#pinging = setInterval(() => this.#ping(), PING_MS);
  }

  #ping() {
    const now = performance.now();
    if (this.#heardAt >= this.#pingedAt) {
      this.#pingedAt = now;
      this.on.ping();
    } else if (now - this.#pingedAt > DEAD_MS) this.#lost(null);
  }

  #lost(code) {
    this.#abandon();
    this.on.lost?.(code);
    if (this.#isClosed) return;
    this.#waiting = setTimeout(() => this.#connect(), this.#waitMs * (0.5 + Math.random()));
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
  }

  /** A dead link takes long to close: nobody waits for it. */
  #abandon() {
    clearInterval(this.#pinging);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #retryNow = () => {
    if (this.#socket) return;
    this.#waitMs = FIRST_WAIT_MS;
    this.#connect();
  };
}
