// NiceGUI's own socket, as one of the page's lines. By itself it would come back within five seconds, load the page anew
// while there is no network, and end up at the sign-in page while somebody is signed out.
import { ANSWER_MS, Line } from "./lines.mjs";

const ASK = "devex_there"; // app/pages/open_pages.py answers it

/** Take over `socket`, of socket.io, once; it dials already. */
export function takeOver(socket) {
  const manager = socket.io;
  let asking;
  const line = new Line({
    dial: () => {
      manager.opts.query.next_message_id = window.nextMessageId; // else what came before a cut would come again
      socket.disconnect().connect();
    },
    check: () => {
      asking ??= setTimeout(() => {
        asking = undefined;
        manager.engine?.close();
      }, ANSWER_MS);
      socket.emit(ASK, heard);
    },
    gaveUp: () => {
      socket.disconnect();
      line.down();
    },
  });
  const heard = () => {
    clearTimeout(asking);
    asking = undefined;
  };
  manager.reconnection(false);
  manager.timeout(false); // the line knows how long it may take
  socket.off("connect_error"); // NiceGUI's loads the page anew, which without a network is its end
  socket.on("connect_error", ({ message }) => {
    if (message === "Implicit handshake failed") location.reload(); // the server has forgotten the page
    else line.down();
  });
  socket.on("connect", () => {
    line.up();
    line.well();
  });
  socket.on("disconnect", (reason) => {
    heard();
    if (reason !== "io client disconnect") line.down(); // else it is dialled again
  });
  if (socket.connected) line.up();
}
