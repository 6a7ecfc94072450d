// How elements reach their REPL, and what those of a page tell each other about it.
export { Failed, call, callJson, encodePath, fileUrl, replUrl, serverUrl, wordsOf } from "./http.mjs";
export { Connection } from "./connection.mjs";
export { NETWORK, network } from "./lines.mjs";
export { takeOver } from "./page_socket.mjs";

/** The window's event by which every element of the page hears a message of the REPL's `events`. */
export const EVENT = "devex:repl";
