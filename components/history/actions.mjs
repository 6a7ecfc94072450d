// What the history changes. Each asks first where something is at stake and gives null when the user thinks better of it;
// `begin(sentence)` is called when it starts; -> what to say then: {text, tone, notes?, noted?}. Throws Failed.
import { asked, confirmed } from "../popups.mjs";
import { call, callJson, replUrl, serverUrl } from "../repl/http.mjs";
import { doneWords, exactly, planWords } from "./words.mjs";

const NAME_CHARS = 100; // the server's

const nameOf = ({ name, at }) => name || exactly(at);

/** `newest` is the newest version that is known. */
export async function save(replId, newest, begin) {
  begin("Saving a version…");
  const { version } = await callJson(`${replUrl(replId)}/snapshots`, { method: "POST", json: {} });
  return { text: version === newest ? "Nothing has changed since the newest version." : "A version is saved.", tone: "ok" };
}

export async function rename(replId, { version, name: value }, begin) {
  const text = "A version with a name is kept for ever. Without one, old versions are thinned out to one an hour, and later one a day.";
  const name = await asked({ title: "Name this version", text, label: "Name of the version", value, most: NAME_CHARS, action: "Keep" });
  if (name === null || name === value) return null;
  begin("Naming…");
  await call(`${replUrl(replId)}/snapshots/${version}/name`, { method: "PUT", json: { name } });
  return { text: name ? `This version is called “${name}” and kept for ever.` : "This version has no name any more.", tone: "ok" };
}

/** Leaves this page for the new REPL's. */
export async function fork(replId, version, begin) {
  const text = "A new REPL is made with the files as they were in this version, and opened. This one stays as it is.";
  if (!(await confirmed({ title: `Fork from ${nameOf(version)}?`, text, action: "Fork", tone: "plain" }))) return null;
  begin("Making a new REPL…");
  const { id } = await callJson(serverUrl(`/api/repls/${replId}/fork`), { method: "POST", json: { version: version.version } });
  location.assign(serverUrl(`/repl/${id}`));
  return null;
}

/** `path` is a file, a folder, or "" for everything. */
export async function restore(replId, version, path, begin) {
  const where = `${replUrl(replId)}/snapshots`;
  const { versions } = await callJson(`${where}?limit=1`);
  const changes = await callJson(`${where}/${version.version}/changes?since=${versions[0].version}`);
  const what = path ? `“${path}”` : "everything";
  const question = { title: `Restore ${what} from ${nameOf(version)}?`, text: planWords(path, changes), action: "Restore", tone: "plain" };
  if (!(await confirmed(question))) return null;
  begin("Restoring…");
  const done = await callJson(`${where}/${version.version}/restore`, { method: "POST", json: { path } });
  return { ...done, text: doneWords(done), tone: done.noted ? "warn" : "ok" };
}
