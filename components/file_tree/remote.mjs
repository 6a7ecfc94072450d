// The workspace's routes as the tree uses them.
import { call, callJson, encodePath, fileUrl, replUrl } from "../repl/http.mjs";
import { join } from "./model.mjs";

const PIECE_BYTES = 8 << 20; // what a cut connection loses at most
const PIECE_TRIES = 5; // in a row without progress

/** The same file chosen again continues where it was cut, also after a reload. */
function uploadId(dir, path, file) {
  const text = `${dir}/${path}:${file.size}:${file.lastModified}`;
  let hash = 0xcbf29ce484222325n; // FNV-1a: crypto.subtle is missing over plain http
  for (const byte of new TextEncoder().encode(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return hash.toString(36).padStart(12, "0");
}

export class Remote {
  constructor(replId) {
    this.replId = replId;
    this.url = replUrl(replId);
  }
  list(dir) {
    return callJson(`${this.url}/tree?path=${encodePath(dir)}`);
  }
  #file(path) {
    return fileUrl(this.replId, path);
  }
  createFile(path) {
    return call(this.#file(path), { method: "PUT", body: "", headers: { "If-None-Match": "*" } });
  }
  createDir(path) {
    return call(`${this.url}/mkdir`, { method: "POST", json: { path } });
  }
  move(from, to) {
    return call(`${this.url}/move`, { method: "POST", json: { from, to } });
  }
  remove(path) {
    return call(this.#file(path), { method: "DELETE" });
  }
  /** Small files in one request; large ones in pieces that are sent again from where they stopped. */
  async upload(dir, path, file, onSent) {
    if (file.size <= PIECE_BYTES) {
      await call(this.#file(join(dir, path)), { method: "PUT", body: file });
      return onSent(file.size);
    }
    const at = `${this.url}/uploads/${uploadId(dir, path, file)}?path=${encodePath(dir)}&name=${encodePath(path)}`;
    let { offset } = await callJson(at);
    onSent(offset);
    for (let failures = 0; offset < file.size; ) {
      const piece = file.slice(offset, offset + PIECE_BYTES);
      try {
        ({ offset } = await callJson(`${at}&size=${file.size}&offset=${offset}`, { method: "PUT", body: piece }));
        failures = 0;
      } catch (failed) {
        if ((failed.status && failed.code !== "offset") || ++failures > PIECE_TRIES) throw failed;
        ({ offset } = await callJson(at));
      }
      onSent(offset);
    }
  }
  downloadUrl({ path, kind }) {
    return kind === "d" ? `${this.url}/zip?path=${encodePath(path)}` : this.#file(path);
  }
}
