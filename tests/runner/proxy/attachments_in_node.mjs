// The page's side of terminals without a page: real Attachments whose network, screen and clock do what they are told.
// `node attachments_in_node.mjs PATH_OF_ATTACHMENT_MJS`: one JSON command a line on standard input,
// {viewer, do: "open" | "doubts" | "reload" | "accepted" | "frame" | "cut" | "render" | "type" | "advance", …}; for each a
// line with what happened, [[viewer, "connect", url] | [viewer, "sent", base64] | [viewer, "shown", base64] | …].
import { createInterface } from "node:readline";

let happened = [];
let nowMs = 0;
let timers = new Map();
let timerIds = 0;
const viewers = new Map(); // name -> {attachment, sockets, unrendered}
const pause = setImmediate;
const promisesKept = () => new Promise((resolve) => pause(() => pause(resolve)));

const later = (call, ms, everyMs) => {
  timers.set(++timerIds, { call, atMs: nowMs + (ms ?? 0), everyMs });
  return timerIds;
};

class Socket {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 3;
  readyState = Socket.CONNECTING;
  bufferedAmount = 0;

  constructor(url) {
    this.owner = url.pathname.slice(1);
    if (!viewers.has(this.owner)) { // one that finds out whether WebSockets are blocked
      later(() => this.onopen?.({}), 1);
      return;
    }
    viewers.get(this.owner).socket = this;
    happened.push([this.owner, "connect", String(url)]);
  }

  send(data) {
    happened.push([this.owner, "sent", Buffer.from(data).toString("base64")]);
  }

  close() {
    if (this.readyState === Socket.CLOSED) return;
    this.readyState = Socket.CLOSED;
    if (viewers.has(this.owner)) happened.push([this.owner, "left"]);
  }
}

const nobody = { addEventListener() {}, removeEventListener() {}, dispatchEvent() {}, querySelector() {} };
Object.assign(globalThis, {
  window: nobody,
  document: { ...nobody, visibilityState: "visible", hidden: false },
  fetch: async () => ({ ok: true, status: 200, json: async () => ({}) }), // the server answers
  location: new URL("http://devex.test/"),
  WebSocket: Socket,
  setTimeout: (call, ms) => later(call, ms),
  setInterval: (call, ms) => later(call, ms, ms),
  clearTimeout: (id) => timers.delete(id),
  clearInterval: (id) => timers.delete(id),
});
AbortSignal.timeout = () => undefined;
performance.now = () => nowMs;
Math.random = () => 0.5;

const { Attachment } = await import(process.argv[2]);

const acts = {
  open(name, { kept }) {
    const viewer = { unrendered: [] };
    viewers.set(name, viewer);
    const shown = {
      output(bytes, rendered) {
        happened.push([name, "shown", Buffer.from(bytes).toString("base64")]);
        viewer.unrendered.push(rendered);
      },
      gap: (bytes) => happened.push([name, "gap", bytes]),
      exited: (about) => happened.push([name, "exited", about]),
    };
    const nothing = () => {}; // of whatever else a page is told
    const on = new Proxy(shown, { get: (heard, kind) => heard[kind] ?? nothing });
    viewer.attachment = new Attachment((after) => `/${name}?after=${after}`, on, kept);
  },
  doubts(name) { // whether what was sent has arrived
    happened.push([name, "doubts", Boolean(viewers.get(name).attachment.kept?.id)]);
  },
  reload(name) {
    const { attachment } = viewers.get(name);
    const kept = JSON.parse(JSON.stringify(attachment.kept)); // as the browser stores it
    attachment.close();
    acts.open(name, { kept });
  },
  accepted(name) {
    const { socket } = viewers.get(name);
    socket.readyState = Socket.OPEN;
    socket.onopen?.({});
  },
  frame(name, { data }) {
    const bytes = Buffer.from(data, "base64");
    viewers.get(name).socket.onmessage({ data: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) });
  },
  cut(name) {
    const { socket } = viewers.get(name);
    socket.readyState = Socket.CLOSED;
    socket.onclose({ code: 1006 });
  },
  render(name, { count }) {
    for (const rendered of viewers.get(name).unrendered.splice(0, count)) rendered();
  },
  type(name, { data }) {
    viewers.get(name).attachment.type(Buffer.from(data, "base64"));
  },
  async advance(_, { ms }) {
    const endMs = nowMs + ms;
    for (;;) {
      const due = [...timers].filter(([, { atMs }]) => atMs <= endMs).sort(([, one], [, other]) => one.atMs - other.atMs)[0];
      if (!due) break;
      const [id, timer] = due;
      nowMs = Math.max(nowMs, timer.atMs);
      if (timer.everyMs) timer.atMs += timer.everyMs;
      else timers.delete(id);
      timer.call();
      await promisesKept();
    }
    nowMs = endMs;
  },
  reset() {
    for (const { attachment } of viewers.values()) attachment.close();
    viewers.clear();
    timers.clear();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { viewer, do: act, ...rest } = JSON.parse(line);
  happened = [];
  await acts[act](viewer, rest);
  await promisesKept();
  process.stdout.write(`${JSON.stringify(happened)}\n`);
}
