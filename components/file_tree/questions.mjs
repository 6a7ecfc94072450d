// What is asked before files are lost.
import { confirmed } from "../popups.mjs";

export function sureToDelete(rows) {
  const what = rows.length > 1 ? "all of them, folders with everything in them" : rows[0].kind === "d" ? "the folder and everything in it" : "the file";
  const title = rows.length > 1 ? `Delete ${rows.length} files and folders?` : `Delete “${rows[0].shown}”?`;
  return confirmed({ title, text: `This deletes ${what}. Only a version in the history brings ${rows.length > 1 ? "them" : "it"} back.`, action: "Delete" });
}

/** `names` are there already. */
export function sureToReplace(names) {
  const title = `Replace ${names.length > 1 ? `${names.length} names` : `“${names[0]}”`}?`;
  return confirmed({ title, text: "What is there under the same name is overwritten.", action: "Replace" });
}
