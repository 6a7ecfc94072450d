// What a terminal has written so far, as a file.
import { replUrl } from "../repl/http.mjs";

/** `form`: "text" or "cast". */
export function downloadRecord(replId, terminalId, form) {
  Object.assign(document.createElement("a"), { href: `${replUrl(replId)}/records/${terminalId}/${form}`, download: "" }).click();
}
