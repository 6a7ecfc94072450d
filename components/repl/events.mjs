// The REPL's event socket: reconnects for ever, and hands every message to whoever listens on the window.
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;
export const EVENT = "devex:repl";

/** Every element of the page that shows the REPL hears its events; `stop()` ends it. */
export function follow(url, { onMessage, onOnline }) {
  let socket;
  let timer;
  let wait = FIRST_WAIT_MS;
  let ended = false;

  const connect = () => {
    clearTimeout(timer);
    socket = new WebSocket(url);
    socket.onopen = () => onOnline(true);
    socket.onmessage = (event) => {
      wait = FIRST_WAIT_MS;
      const message = JSON.parse(event.data);
      window.dispatchEvent(new CustomEvent(EVENT, { detail: message }));
      onMessage(message);
    };
    socket.onclose = () => {
      if (ended) return;
      onOnline(false);
      timer = setTimeout(connect, wait * (0.7 + 0.6 * Math.random()));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
  };
  const retryNow = () => {
    if (!ended && socket.readyState === WebSocket.CLOSED) {
      wait = FIRST_WAIT_MS;
      connect();
    }
  };
  window.addEventListener("online", retryNow);
  document.addEventListener("visibilitychange", retryNow);
  connect();
  return () => {
    ended = true;
    clearTimeout(timer);
    window.removeEventListener("online", retryNow);
    document.removeEventListener("visibilitychange", retryNow);
    socket.close();
  };
}

/** The WebSocket address of a path of this origin. */
export const socketUrl = (path) => new URL(path, location.href.replace(/^http/, "ws")).href;
