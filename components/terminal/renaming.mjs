// A name for a terminal, for everybody who has the REPL open.
import { asked } from "../popups.mjs";
import { call, callJson, replUrl } from "../repl/http.mjs";

/** As in runner/proxy/terminals/titles.py. */
export const NAME_CHARACTERS = 60;

/** Asks for it, and tells the server. Throws Failed. */
export async function renameTerminal(replId, terminalId) {
  const url = `${replUrl(replId)}/terminals`;
  const { terminals } = await callJson(url);
  const text = "Everybody who opens this REPL sees it. Left empty, the terminal is called as its program says, or by its number.";
  const about = terminals.find(({ id }) => id === terminalId);
  const title = await asked({ title: "Rename the terminal", text, label: "Name", value: about?.title ?? "", most: NAME_CHARACTERS, action: "Rename" });
  if (title !== null) await call(`${url}/${terminalId}`, { method: "PATCH", json: { title } });
}
