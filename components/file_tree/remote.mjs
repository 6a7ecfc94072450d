// The workspace's routes as the tree uses them.
import { call, callJson, encodePath, replUrl } from "../repl/http.mjs";
import { join } from "./model.mjs";

export class Remote {
  constructor(replId) {
    this.url = replUrl(replId);
  }
  list(dir) {
    return callJson(`${this.url}/tree?path=${encodeURIComponent(dir)}`);
  }
  createFile(path) {
    return call(`${this.url}/files/${encodePath(path)}`, { method: "PUT", body: "", headers: { "If-None-Match": "*" } });
  }
  createDir(path) {
    return call(`${this.url}/mkdir`, { method: "POST", json: { path } });
  }
  move(from, to) {
    return call(`${this.url}/move`, { method: "POST", json: { from, to } });
  }
  remove(path) {
    return call(`${this.url}/files/${encodePath(path)}`, { method: "DELETE" });
  }
  upload(dir, path, file) {
    return call(`${this.url}/files/${encodePath(join(dir, path))}`, { method: "PUT", body: file });
  }
  downloadUrl({ path, kind }) {
    return kind === "d" ? `${this.url}/zip?path=${encodeURIComponent(path)}` : `${this.url}/files/${encodePath(path)}`;
  }
}
