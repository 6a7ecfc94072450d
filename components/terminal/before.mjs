// What was on a terminal before its sandbox ended, above what the one that follows it writes.
import { call, replUrl } from "../repl/http.mjs";
import { outputDecoder } from "./decoding.mjs";
import { safeTerminal } from "./safe.mjs";

const LAST_BYTES = 64 * 1024; // of its output: enough for a screen, whatever was drawn over in between
const PATIENCE_MS = 3000; // then the terminal goes on without it

/** The lines of the last screen, as text: what a program has set or asked for in them does nothing any more. */
async function lastScreen(replId, [recordId, [cols, rows]]) {
  const answer = await call(`${replUrl(replId)}/records/${recordId}/output?last=${LAST_BYTES}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const screen = safeTerminal({ cols, rows, scrollback: 0 });
  await new Promise((written) => screen.write(outputDecoder()(bytes), written));
  const buffer = screen.buffer.active;
  const lines = Array.from({ length: buffer.length }, (_, at) => ({ text: buffer.getLine(at).translateToString(true), goesOn: buffer.getLine(at + 1)?.isWrapped }));
  screen.dispose();
  return lines.map(({ text, goesOn }) => (goesOn ? text : `${text}\n`)).join("").trimEnd();
}

/** Writes it to `term`, faint, with a line that says where the new one begins; nothing where there is nothing. */
export async function writeBefore(term, replId, record) {
  try {
    const text = await lastScreen(replId, record);
    if (text) term.write(`\x1b[2m${text.replaceAll("\n", "\r\n")}\x1b[0m\r\n\x1b[7m Ended with its sandbox. A new terminal begins here. \x1b[0m\r\n\r\n`);
  } catch {
    // not kept, or not in time
  }
}
