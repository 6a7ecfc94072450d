// What the menu of the tree offers, as a decision: pure, so that every case can be read here.

/**
 * Items for `openMenu`, null for a line. `row` is null beside the rows; `several` are the selected rows when there are more
 * than one; `additions` make something new; `does` is {download(rows), copy(path), showHistory(path), rename(path), remove(rows)}.
 */
export function menuItems({ row, several, everything, readonly, additions, does }) {
  if (several.length > 1) {
    const fetchAll = { label: `Download ${several.length}`, icon: "download", run: () => does.download(several) };
    const removeAll = { label: `Delete ${several.length}`, icon: "trash", keys: "Del", run: () => does.remove(several) };
    return readonly ? [fetchAll] : [fetchAll, null, removeAll];
  }
  const what = row ?? everything;
  const fetchIt = { label: what.kind === "d" ? "Download as zip" : "Download", icon: "download", run: () => does.download([what]) };
  const copy = row && { label: "Copy path", icon: "copy", run: () => does.copy(row.path) };
  const history = row?.kind === "f" && { label: "History of this file", icon: "history", run: () => does.showHistory(row.path) };
  const reading = [fetchIt, copy, history].filter(Boolean);
  if (readonly) return reading;
  const rename = row && { label: "Rename", icon: "rename", keys: "F2", run: () => does.rename(row.path) };
  const remove = row && { label: "Delete", icon: "trash", keys: "Del", run: () => does.remove([row]) };
  return [...additions, null, ...reading, ...(row ? [null, rename, remove] : [])];
}
