// The page's lines to its server, WebSockets of whatever kind, and how all of them come back at once: while one is down,
// the server is asked over HTTP, and all dial when it answers. What fails so is cheap and is told within a second, while a
// WebSocket that fails makes Chromium delay those that follow, and one into a network that swallows packets hangs.
import { serverUrl } from "./http.mjs";

const told = (name) => document.querySelector(`meta[name="devex-${name}"]`)?.content;

/** Who the page belongs to, as `network.py` says; "" where it does not matter. */
export const USER = told("user") ?? "";
/** So often something is said on each line, in both directions. */
export const PING_MS = 1000 * (told("ping-s") ?? 10);
/** Nothing heard for so long after a ping: the network is gone though nobody said so. */
export const ANSWER_MS = 4000;
/** The window's event that the state has changed: `network()` is "", "away", "signed-out" or "blocked". */
export const NETWORK = "devex:network";
/** The channel on which the page /signed-in tells that somebody has signed in. */
const SIGNED_IN = "devex:signed-in";

const LOOK_MS = 250; // between two questions: a network that comes back is found within half a second, whenever that is
const QUICK_MS = 5 * 60_000; // where something answers for the server, the pauses grow by as much whenever this passes, up to
const LOOK_SLOWLY_MS = 2000;
const LOOK_HIDDEN_MS = 10_000; // nobody looks at the page: it asks at once when somebody does
const LOOK_BESIDE_MS = 3000; // the server answers, and it is something else that keeps lines down
const PATIENCE_MS = 1000; // for an answer: four questions are under way at most, of the six that browsers allow
const LONG_PATIENCE_MS = 8000; // for one in
const LONG_PATIENCE_EVERY = 24; // so that a link of more than a second is found too
const TOGETHER_MS = 50; // what goes down within this is one loss
const FIRST_PAUSE_MS = 400; // before a second attempt of a line while the server answers; it doubles up to
const LONGEST_PAUSE_MS = 10_000;
const DIAL_MS = 12_000; // the gateway waits 10 s for a REPL that comes up
const BLOCKED_AFTER = 3; // attempts of WebSockets that failed while the server answered
const ECHO_MS = 5000;

const THERE = "", UNKNOWN = "unknown", AWAY = "away", SIGNED_OUT = "signed-out";

const lines = new Set();
let server = UNKNOWN;
let isBlocked = false;
let isTrying = false; // whether WebSockets are blocked
let wasAway = false; // and all that is down dials when it is back
let isRefusing = false; // it is away, and something answers that it is: it may have too much to do
let failures = 0; // of WebSockets in a row
let timer;
let downSince = 0;
let askedAt = -TOGETHER_MS;
let asked = 0; // questions, numbered
let answered = 0; // the newest one that was
let asking = null; // who is signed in

const jittered = (ms) => ms * (0.7 + 0.6 * Math.random()); // a thousand pages do not come at once

/** "", "away", "signed-out" or "blocked". */
export const network = () => (server === AWAY || server === SIGNED_OUT ? server : isBlocked ? "blocked" : "");

/** One line. `dial()` opens it, letting go of what it had; `check()` finds out whether it is still up; `gaveUp()` hears that
 * it took too long to open, and says `down()` as whenever it is. */
export class Line {
  #pauseMs = 0;
  #timer;
  isUp = false;
  waits = false; // for the server to answer

  constructor({ dial, check, gaveUp }) {
    Object.assign(this, { dial, check, gaveUp });
    lines.add(this);
  }

  /** For the first time at once: the page has just come from the server. */
  dialNow() {
    clearTimeout(this.#timer);
    this.waits = false;
    this.#timer = setTimeout(() => this.gaveUp(), DIAL_MS);
    this.dial();
  }

  dialAfresh() {
    this.#pauseMs = 0;
    this.dialNow();
  }

  up() {
    clearTimeout(this.#timer);
    this.isUp = true;
    failures = 0;
    isBlocked = wasAway = false;
    server = THERE;
    if (allAreUp()) downSince = 0;
    tell();
  }

  /** Something has come: it works. */
  well() {
    this.#pauseMs = 0;
  }

  down() {
    clearTimeout(this.#timer);
    if (!lines.has(this)) return;
    if (!this.isUp) failed();
    this.isUp = false;
    if (!downSince) downSince = performance.now();
    if (server === THERE) server = UNKNOWN;
    this.#timer = setTimeout(() => this.#wait(), this.#pauseMs * (0.5 + Math.random()));
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
  }

  end() {
    clearTimeout(this.#timer);
    lines.delete(this);
  }

  #wait() {
    this.waits = true;
    if (server !== AWAY && server !== SIGNED_OUT) look();
  }
}

const allAreUp = () => [...lines].every((line) => line.isUp);

/** Ask now, if anything is down. */
function look() {
  clearTimeout(timer);
  if (allAreUp()) return;
  const now = performance.now();
  if (now - askedAt < TOGETHER_MS) {
    timer = setTimeout(look, TOGETHER_MS);
    return;
  }
  askedAt = now;
  timer = setTimeout(look, jittered(pauseMs(now)));
  asked += 1;
  hear(asked);
}

function pauseMs(now) {
  if (document.hidden) return LOOK_HIDDEN_MS;
  if (server === THERE || server === SIGNED_OUT) return LOOK_BESIDE_MS;
  if (!isRefusing) return LOOK_MS;
  return Math.min(LOOK_MS * Math.max(1, (now - downSince) / QUICK_MS), LOOK_SLOWLY_MS);
}

async function hear(number) {
  const answer = await ask(number % LONG_PATIENCE_EVERY ? PATIENCE_MS : LONG_PATIENCE_MS);
  if (number < answered) return; // a newer one knows better
  answered = number;
  server = answer;
  if (answer !== THERE) {
    if (!wasAway) for (const line of lines) if (line.isUp) line.check(); // what swallows packets closes nothing
    wasAway = true;
  } else {
    for (const line of [...lines]) {
      if (line.isUp) continue;
      if (wasAway) line.dialAfresh();
      else if (line.waits) line.dialNow();
    }
    wasAway = false;
  }
  tell();
}

const get = (path, withinMs) => fetch(serverUrl(path), { cache: "no-store", signal: AbortSignal.timeout(withinMs) });

/** How it is with the server: asked for what costs it nothing, and only when that is answered, once, for who is here. */
async function ask(patienceMs) {
  try {
    const { status } = await get("/diagnose/there", patienceMs);
    isRefusing = refuses(status);
    if (isRefusing) return AWAY;
    return await (asking ??= who().finally(() => (asking = null)));
  } catch {
    isRefusing = false;
    return AWAY;
  }
}

/** By what stands before the server, or by itself: too many ask at once. */
const refuses = (status) => status >= 500 || status === 429;

/** A page of somebody else than who is signed in is loaded anew, and sends nothing. */
async function who() {
  const response = await get("/api/session", LONG_PATIENCE_MS);
  if (response.status === 401) return SIGNED_OUT;
  isRefusing = refuses(response.status);
  if (isRefusing) return AWAY;
  if (!response.ok || !USER) return THERE;
  if ((await response.json()).id === USER) return THERE; // a page of the network's own, for signing in there, is no JSON
  location.reload();
  return SIGNED_OUT;
}

function tell() {
  window.dispatchEvent(new Event(NETWORK));
}

/** A WebSocket did not open: do any? */
function failed() {
  failures += 1;
  if (failures < BLOCKED_AFTER || isTrying || isBlocked || server === AWAY || server === SIGNED_OUT) return;
  isTrying = true;
  const socket = new WebSocket(new URL(serverUrl("/diagnose/echo"), location.href.replace(/^http/, "ws")));
  const end = async (opened) => {
    clearTimeout(patience);
    socket.onopen = socket.onclose = null;
    socket.close();
    isBlocked = !opened && (await ask(PATIENCE_MS)) === THERE;
    isTrying = false;
    failures = 0;
    tell();
  };
  const patience = setTimeout(() => end(false), ECHO_MS);
  socket.onopen = () => end(true);
  socket.onclose = () => end(false);
}

/** Something may have changed: what looks open is checked, and what is down dials as soon as the server answers. */
function wake() {
  if (document.hidden) return;
  for (const line of lines) if (line.isUp) line.check();
  wasAway = true;
  look();
}

window.addEventListener("online", wake);
window.addEventListener("pageshow", ({ persisted }) => persisted && wake());
window.addEventListener("focus", () => server === SIGNED_OUT && look());
document.addEventListener("visibilitychange", wake);
document.addEventListener("resume", wake);
if (window.BroadcastChannel) new BroadcastChannel(SIGNED_IN).onmessage = look;
