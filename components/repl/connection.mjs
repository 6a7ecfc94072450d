// A WebSocket of the REPL that comes back by itself.
import { ANSWER_MS, Line, PING_MS } from "./lines.mjs";

const DOUBT_MS = 1000; // silence after something that is usually echoed: it may be a password prompt, or a dead link, so ping

export class Connection {
  #socket = null; // null between a cut and the next attempt
  #line;
  #heardAt = 0;
  #askedAt = 0; // when something was sent that is usually echoed
  #pinging;
  #asking; // a ping is on its way
  #doubting;

  /** `path()` says at each attempt which path of this origin. `on`: {opened(), message(data), lost(code), ping()}: `opened`
   * and `lost` may be left out; `ping` sends something that the server answers. Closing it in `lost` ends the attempts. */
  constructor(path, on) {
    this.path = path;
    this.on = on;
    this.#line = new Line({ dial: () => this.#dial(), check: () => this.#check(), gaveUp: () => this.#lost(null) });
    this.#line.dialNow();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Whether something has come since the last that is usually echoed. */
  get isAnswered() {
    return this.#heardAt > this.#askedAt;
  }

  /** Returns false, and sends nothing, while there is no link. `usuallyEchoed`: something usually comes back (a key's echo);
   * if nothing does within DOUBT_MS, the server is pinged. */
  send(data, { usuallyEchoed = false } = {}) {
    if (!this.isOpen) return false;
    this.#socket.send(data);
    if (usuallyEchoed) this.#doubt();
    return true;
  }

  /** For good; nothing is heard any more. */
  close() {
    this.#line.end();
    this.#abandon();
  }

  #dial() {
    this.#abandon();
    const socket = new WebSocket(new URL(this.path(), location.href.replace(/^http/, "ws")));
    const whileCurrent = (react) => (event) => socket === this.#socket && react(event);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = whileCurrent(() => {
      this.#heard();
      this.#pinging = setInterval(() => this.#check(), PING_MS);
      this.#line.up();
      this.on.opened?.();
    });
    socket.onmessage = whileCurrent(({ data }) => {
      this.#heard();
      this.#line.well();
      this.on.message(data);
    });
    socket.onclose = whileCurrent(({ code }) => this.#lost(code));
  }

  #heard() {
    this.#heardAt = performance.now();
  }

  #check() {
    if (!this.isOpen || this.#asking) return;
    this.on.ping();
    this.#asking = this.#unlessHeard(ANSWER_MS, (isSilent) => {
      this.#asking = undefined;
      if (isSilent) this.#lost(null);
    });
  }

  #doubt() {
    this.#askedAt = performance.now();
    this.#doubting ??= this.#unlessHeard(DOUBT_MS, (isSilent) => {
      this.#doubting = undefined;
      if (isSilent) this.#check();
    });
  }

  #unlessHeard(withinMs, react) {
    const since = performance.now();
    return setTimeout(() => react(this.#heardAt < since), withinMs);
  }

  #lost(code) {
    this.#abandon();
    this.on.lost?.(code);
    this.#line.down();
  }

  /** A dead link takes long to close: nobody waits for it. */
  #abandon() {
    clearInterval(this.#pinging);
    clearTimeout(this.#asking);
    clearTimeout(this.#doubting);
    this.#asking = this.#doubting = undefined;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}
