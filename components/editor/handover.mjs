// Texts that were typed into while their REPL did not run, on their way to the editor that comes when it does. One of them is
// {path, text, held, caret}: the Y.Text that is shown, the bytes it was read as, and where the caret is.
import { keepTyped } from "./memory.mjs";
import { bytesOf, difference } from "./splices.mjs";

const waiting = new Map(); // REPL -> texts
const takers = new Map(); // REPL -> its editor's `take`

/** What was typed, as `Documents.undelivered` tells it. */
export const typedOf = (texts) => texts.map(({ path, text, held }) => ({ path, changes: [{ base: held, splices: difference(held, bytesOf(text.toString())) }] }));

export function handOver(replId, texts) {
  const take = takers.get(replId);
  if (take) take(texts);
  else if (texts.length) waiting.set(replId, texts);
}

/** From now on `take(texts)` gets them, at once what waits already; returns what ends that. */
export function onHandedOver(replId, take) {
  takers.set(replId, take);
  take(waiting.get(replId) ?? []);
  waiting.delete(replId);
  return () => takers.get(replId) === take && takers.delete(replId);
}

window.addEventListener("pagehide", () => waiting.forEach((texts, replId) => keepTyped(replId, typedOf(texts))));
