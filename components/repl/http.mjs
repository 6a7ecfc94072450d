// Requests to the server: what goes wrong arrives as one sentence and one action.

export class Failed extends Error {
  constructor(status, code, message, action) {
    super(message);
    Object.assign(this, { status, code, action });
  }
}

/** What a user is told when `failed` was caught. */
export const wordsOf = (failed) => `${failed.message} ${failed.action ?? ""}`.trim();

const OFFLINE = new Failed(0, "offline", "The server cannot be reached.", "Check your connection and try again.");

/** The address of a path of the server; NiceGUI sets the prefix when the page is mounted. */
export const serverUrl = (path) => `${window.path_prefix ?? ""}${path}`;

/** The address of a REPL's routes. */
export const replUrl = (id) => serverUrl(`/repls/${id}`);

/** A path of the workspace for an address's query. Bytes that are no UTF-8 come as lone surrogates and leave as %ff. */
export function encodePath(path) {
  let encoded = "";
  for (const character of path) {
    const code = character.charCodeAt(0);
    const isByte = character.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    encoded += isByte ? `%${(code - 0xdc00).toString(16)}` : encodeURIComponent(character);
  }
  return encoded;
}

/** Where a file of the workspace is read, written and deleted. */
export const fileUrl = (replId, path) => `${replUrl(replId)}/files?path=${encodePath(path)}`;

async function failureOf(response) {
  const about = await response.json().then((body) => body?.error ?? {}, () => ({}));
  return new Failed(
    response.status,
    about.code ?? "unknown",
    about.message ?? `The server answered with status ${response.status}.`,
    about.action ?? "Try again.",
  );
}

/** fetch() that throws Failed; `json` is sent as the body. */
export async function call(url, { json, headers, ...rest } = {}) {
  const init = { ...rest, headers: { ...headers } };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw error.name === "AbortError" ? error : OFFLINE;
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

export const callJson = async (url, options) => (await call(url, options)).json();
