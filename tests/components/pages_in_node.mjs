// Pages that lose their server at one moment, each a real lines.mjs with one line; network, clock and dice are ours.
// `node pages_in_node.mjs PATH_OF_LINES_MJS JSON`: the server is away for `awayMs`, unreachable, or with a `status` something
// answers for it; then it answers, and for `refusedMs` refuses the line. The pages are hidden, if so, until an event `wakes` them
// at `wakesAtMs`. One JSON line: of each page when it asked the server, dialled, and looked after a line that is up, in ms.
import { pathToFileURL } from "node:url";

const path = process.argv[2];
const { pages, awayMs, refusedMs, status, hidden, wakes, wakesAtMs } = JSON.parse(process.argv[3]);

let nowMs = 0;
let timerIds = 0;
let who; // which page runs
const timers = new Map();
const events = [];
const promisesKept = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const later = (call, ms = 0) => {
  timers.set(++timerIds, { call, atMs: nowMs + ms, page: who });
  return timerIds;
};

let state = 1;
/** Park and Miller's: the same in every run. */
const dice = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;

class Socket { // one that finds out whether WebSockets are blocked: they are not
  constructor() {
    later(() => this.onopen?.({}), 1);
  }

  close() {}
}

const heard = {};
const place = {
  addEventListener: (name, call) => (heard[name] ??= []).push({ call, page: who }),
  dispatchEvent() {},
  querySelector() {},
};
Object.assign(globalThis, {
  window: place,
  document: { ...place, hidden },
  location: new URL("http://devex.test/"),
  WebSocket: Socket,
  setTimeout: later,
  clearTimeout: (id) => timers.delete(id),
  async fetch(url) {
    if (String(url).endsWith("/diagnose/there")) events[who].asked.push(nowMs);
    if (nowMs < awayMs && status) return { ok: false, status };
    if (nowMs < awayMs) throw new TypeError("no network");
    return { ok: true, status: 200, json: async () => ({}) };
  },
});
AbortSignal.timeout = () => undefined;
performance.now = () => nowMs;
Math.random = dice;

for (who = 0; who < pages; who++) {
  events.push({ asked: [], dialled: [], checked: [] });
  const { Line } = await import(`${pathToFileURL(path)}?page=${who}`);
  const page = who;
  const line = new Line({
    dial() {
      events[page].dialled.push(nowMs);
      later(() => line.down(), 1);
    },
    check() {},
    gaveUp() {},
  });
  line.up();
  line.down();
  const other = new Line({ dial() {}, check: () => events[page].checked.push(nowMs), gaveUp() {} });
  other.up();
}
if (wakes) {
  who = undefined;
  later(() => {
    document.hidden = false;
    for (const { call, page } of heard[wakes]) {
      who = page;
      call({ persisted: true });
    }
  }, wakesAtMs);
}
for (;;) {
  const due = [...timers].reduce((first, one) => (one[1].atMs < first[1].atMs ? one : first));
  if (due[1].atMs > awayMs + refusedMs) break;
  timers.delete(due[0]);
  ({ atMs: nowMs, page: who } = due[1]);
  due[1].call();
  await promisesKept();
}
process.stdout.write(JSON.stringify(events), () => process.exit());
