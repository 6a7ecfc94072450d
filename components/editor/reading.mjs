// A text that belongs to no file in the proxy.
import * as Y from "yjs";

export function textOf(string) {
  const text = new Y.Doc().getText();
  text.insert(0, string);
  return text;
}
