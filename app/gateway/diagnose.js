// Tries from this browser what DEVEX needs of a network, and says in plain words what is wrong.

const WITHIN_MS = 8000; // each of them
const LATENCIES = 5;
const ECHOES = 5;
const SLOW_MS = 500; // a key and its echo: typing is no pleasure any more
const HELD_BACK_MS = 500; // half of what the server waits between the lines of its stream
const CLOCK_MS = 5 * 60_000; // from here on certificates and sign-ins of others begin to fail

const $ = (id) => document.getElementById(id);
const median = (values) => values.toSorted((one, other) => one - other)[values.length >> 1];
const ms = (value) => `${Math.round(value)} ms`;
const get = (path) => fetch(`/diagnose/${path}`, { cache: "no-store", signal: AbortSignal.timeout(WITHIN_MS) });

async function pages() {
  const times = [];
  for (let count = 0; count < LATENCIES; count++) {
    const began = performance.now();
    await (await get("about")).json();
    times.push(performance.now() - began);
  }
  return { ms: median(times) };
}

function sockets() {
  return new Promise((found, failed) => {
    const began = performance.now();
    const times = [];
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/diagnose/echo`);
    let openMs, helloMs, sentAt;
    const end = (settle, value) => {
      clearTimeout(timer);
      socket.onclose = null;
      socket.close();
      settle(value);
    };
    const timer = setTimeout(() => end(failed, new Error(openMs ? "it opened, and nothing came" : "no answer")), WITHIN_MS);
    const say = () => {
      sentAt = performance.now();
      socket.send(`echo ${times.length}`);
    };
    socket.onopen = () => (openMs = performance.now() - began);
    socket.onmessage = () => {
      if (helloMs === undefined) helloMs = performance.now() - began - openMs;
      else times.push(performance.now() - sentAt);
      if (times.length < ECHOES) say();
      else end(found, { openMs, helloMs, ms: median(times) });
    };
    socket.onclose = ({ code }) => {
      if (code === 1013) end(found, { openMs, helloMs: 0, ms: 0 }); // it works; too many try at once
      else end(failed, new Error(openMs ? `it opened and was cut (${code})` : `it was refused (${code})`));
    };
  });
}

async function streams() {
  const reader = (await get("stream")).body.getReader();
  await reader.read();
  const firstAt = performance.now();
  let lastAt = firstAt;
  for (;;) {
    if ((await reader.read()).done) break;
    lastAt = performance.now();
  }
  return { isHeldBack: lastAt - firstAt < HELD_BACK_MS };
}

async function asked() {
  const began = Date.now();
  const about = await (await get("about")).json();
  return { cookie: about.cookie, offMs: (began + Date.now()) / 2 - about.time_ms };
}

const CHECKS = {
  pages: ["Pages", pages, ({ ms: time }) => (time > SLOW_MS ? ["warn", `slow, ${ms(time)}`] : ["ok", `answered in ${ms(time)}`])],
  sockets: [
    "WebSockets: terminals and editing",
    sockets,
    ({ ms: time, helloMs }) => (Math.max(time, helloMs) > SLOW_MS ? ["warn", `slow, ${ms(Math.max(time, helloMs))}`] : ["ok", `echo in ${ms(time)}`]),
  ],
  streams: ["Answers as they come: progress and downloads", streams, ({ isHeldBack }) => (isHeldBack ? ["warn", "held back"] : ["ok", "not held back"])],
  cookies: ["Cookies: staying signed in", asked, ({ cookie }) => (cookie ? ["ok", "kept"] : ["bad", "not kept"])],
  clock: [
    "This device's clock",
    asked,
    ({ offMs }) => (Math.abs(offMs) > CLOCK_MS ? ["warn", `${Math.round(Math.abs(offMs) / 60_000)} min ${offMs > 0 ? "ahead" : "behind"}`] : ["ok", "right"]),
  ],
};

/** -> [state, what is said to the user, what to tell the network's administrator] of the results' states by name. */
function verdict(states) {
  const { host } = location;
  const address = `${location.origin.replace(/^http/, "ws")}/`;
  if (states.pages === "bad") return ["bad", "The server cannot be reached from here. Check your connection and try again.", ""];
  if (states.sockets === "bad") {
    const open = location.protocol === "http:" ? " Filters leave them alone more often over https." : "";
    return [
      "bad",
      "This network lets pages through but blocks WebSockets: terminals and the editor cannot work here. Try another network, such as your phone's.",
      `Please allow WebSockets to ${address} (HTTP/1.1 with “Upgrade: websocket”, RFC 6455). A filter or virus scanner that opens connections has to pass them on or leave ${host} out; a reverse proxy has to pass on the headers Upgrade and Connection, as nginx does with “proxy_http_version 1.1”.${open}`,
    ];
  }
  if (states.cookies === "bad") return ["bad", `This browser keeps no cookies of ${host}: you cannot stay signed in. Allow cookies for this site.`, ""];
  if (states.sockets === "warn" || states.pages === "warn") return ["warn", "The way to the server is slow: everything works, and typing is answered late.", ""];
  if (states.streams === "warn")
    return ["warn", "Something on the way holds answers back until they are whole: progress is shown late. All else works.", `Please do not buffer answers of ${host}: in nginx that is “proxy_buffering off”.`];
  if (states.clock === "warn") return ["warn", "This device's clock is wrong: secure connections may be refused. Set it right.", ""];
  return ["ok", "Everything that DEVEX needs works from here.", ""];
}

async function tried(name) {
  const [label, find, judge] = CHECKS[name];
  const row = $("checks").appendChild(document.createElement("li"));
  const result = document.createElement("span");
  result.textContent = "…";
  row.append(Object.assign(document.createElement("b"), { textContent: label }), result);
  const [state, words] = await find().then(judge, (error) => ["bad", error.name === "TimeoutError" ? "no answer" : error.message || "failed"]);
  row.dataset.state = state;
  result.textContent = words;
  return [name, state, `${state.toUpperCase().padEnd(4)} ${label}: ${words}`];
}

async function tryAll() {
  $("again").disabled = true;
  $("checks").replaceChildren();
  $("copied").textContent = "";
  $("report").textContent = "";
  $("advice").hidden = true;
  $("verdict").dataset.state = "wait";
  $("said").textContent = "Trying…";
  const results = [];
  for (const name of Object.keys(CHECKS)) results.push(await tried(name)); // one at a time: none makes another slow
  const [state, said, todo] = verdict(Object.fromEntries(results));
  $("verdict").dataset.state = state;
  $("said").textContent = said;
  $("todo").textContent = todo;
  $("advice").hidden = !todo;
  const lines = [`DEVEX at ${location.origin}, ${new Date().toISOString()}`, navigator.userAgent, ...results.map((one) => one[2]), said, todo];
  $("report").textContent = lines.filter(Boolean).join("\n");
  $("again").disabled = false;
}

/** By selecting: the clipboard interface is not there over plain http. */
function copy() {
  getSelection().selectAllChildren($("report"));
  $("copied").textContent = document.execCommand("copy") ? "Copied." : "Press Ctrl+C to copy.";
}

$("again").addEventListener("click", tryAll);
$("copy").addEventListener("click", copy);
tryAll();
