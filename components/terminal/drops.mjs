// Files that are dropped on a terminal: from the desktop they come into the workspace first; then their paths are typed.
import { sureToReplace } from "../file_tree/questions.mjs";
import { Remote } from "../file_tree/remote.mjs";
import { DRAG_TYPE, filesOf, namesOf, sendFiles } from "../file_tree/uploads.mjs";
import { callJson, replUrl } from "../repl/http.mjs";

const PLAIN = /^[\w@%+=:,./-]+$/;
const CONTROLS = /[\x00-\x1f\x7f-\x9f]/;

/** A path as a shell takes it for one word, whatever is in it: also one that does not know $'…', where a quote would end it. */
export function quoted(path) {
  if (PLAIN.test(path)) return path;
  if (!CONTROLS.test(path)) return `'${path.replaceAll("'", `'\\''`)}'`;
  const escaped = path.replaceAll("\\", "\\\\").replace(/[\x00-\x1f\x7f-\x9f']/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `$'${escaped}'`;
}

export const isDroppable = ({ types }) => types.includes("Files") || types.includes(DRAG_TYPE);

/** The words to type for what was dropped, null for nothing; must be called in the drop event. `folder`: where the shell
 * is, "" if nobody knows; `tell(progress)` as of sendFiles. Throws Failed. */
export async function wordsOfDrop(replId, folder, dataTransfer, tell) {
  const fromTree = dataTransfer.getData(DRAG_TYPE);
  const dropped = fromTree ? null : filesOf(dataTransfer);
  const { home } = await callJson(`${replUrl(replId)}/places`);
  if (fromTree) return typed(home, JSON.parse(fromTree));
  const all = await dropped;
  const names = namesOf(all);
  if (!names.length) return null;
  const remote = new Remote(replId);
  const dir = folder.startsWith(`${home}/`) ? folder.slice(home.length + 1) : "";
  const { entries } = await remote.list(dir);
  const there = names.filter((name) => entries.some(([known]) => known === name));
  if (there.length && !(await sureToReplace(there))) return null;
  await sendFiles(remote, dir, all, tell);
  return typed(home, names.map((name) => (dir ? `${dir}/${name}` : name)));
}

const typed = (home, paths) => `${paths.map((path) => quoted(`${home}/${path}`)).join(" ")} `;
