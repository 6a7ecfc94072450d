// Files and folders that are dropped somewhere, from the desktop or from the tree.
import { join } from "./model.mjs";

/** Of what is dragged from the tree: JSON, a list of paths. */
export const DRAG_TYPE = "application/x-devex-paths";

/** What was dropped, folders walked: [{path, file}] and the folders that hold nothing: [path]. Must be called in the drop event. */
export async function filesOf(dataTransfer) {
  const roots = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = roots.length ? [] : [...dataTransfer.files].map((file) => ({ path: file.name, file }));
  const emptyDirs = [];
  const visit = async (entry, path) => {
    if (entry.isFile) {
      files.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
      return;
    }
    const reader = entry.createReader();
    let any = false;
    for (;;) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 at a time
      if (!batch.length) break;
      any = true;
      for (const child of batch) await visit(child, `${path}/${child.name}`);
    }
    if (!any) emptyDirs.push(path);
  };
  for (const root of roots) await visit(root, root.name);
  return { files, emptyDirs };
}

/** Lets the user choose files, or a folder with all its files; resolves to [{path, file}]. */
export function chosenFiles({ folder = false } = {}) {
  return new Promise((resolve) => {
    const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, webkitdirectory: folder });
    input.onchange = () => resolve([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
    input.oncancel = () => resolve([]);
    input.click();
  });
}

/** Sends them into a folder; `tell({done, of, sent, bytes})` hears how far it is. Throws Failed. */
export async function sendFiles(remote, dir, { files, emptyDirs }, tell) {
  const progress = { done: 0, of: files.length, sent: 0, bytes: files.reduce((sum, { file }) => sum + file.size, 0) || 1 };
  tell({ ...progress });
  for (const path of emptyDirs) await remote.createDir(join(dir, path));
  for (const { path, file } of files) {
    const before = progress.sent;
    await remote.upload(dir, path, file, (bytes) => {
      progress.sent = before + bytes;
      tell({ ...progress });
    });
    progress.done += 1;
    tell({ ...progress });
  }
}

/** The names that dropped files have in the folder they come into. */
export const namesOf = ({ files, emptyDirs }) => [...new Set([...files.map(({ path }) => path), ...emptyDirs].map((path) => path.split("/")[0]))];
