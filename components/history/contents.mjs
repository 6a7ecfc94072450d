// What a file says, as far as it can be shown.
import { call } from "../repl/http.mjs";

const MOST_BYTES = 2_000_000; // two of them are compared in the page itself
const BINARY = "This file is not text.";
const TOO_LARGE = "This file is larger than 2 MB.";

export const SIDE_BY_SIDE_PX = 640; // of room; narrower, and one column reads better than two

/** -> {text}, {absent: true} where there is no such file, or {refused: sentence}. Throws Failed. */
export async function readText(url, signal) {
  let response;
  try {
    response = await call(url, { signal });
  } catch (failed) {
    if (failed.status === 404 && failed.code !== "no_version") return { absent: true, text: "" };
    if (failed.status === 409) return { refused: "This is no file whose text could be shown." };
    throw failed;
  }
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = response.body.getReader();
  let text = "";
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const piece = decoded(decoder, value, !done);
      if (piece === null) return { refused: BINARY };
      text += piece;
      bytes += value?.length ?? 0;
      if (bytes > MOST_BYTES) return { refused: TOO_LARGE };
      if (done) return { text };
    }
  } finally {
    reader.cancel().catch(() => {}); // the rest is not wanted
  }
}

/** null where the bytes are no text. */
function decoded(decoder, bytes, stream) {
  try {
    const piece = decoder.decode(bytes, { stream });
    return piece.includes("\0") ? null : piece;
  } catch {
    return null;
  }
}
