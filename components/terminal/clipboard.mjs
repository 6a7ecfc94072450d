// Copy and paste by the browser's own events: they need no permission, and work over plain http too, where the
// clipboard interface is not there.
import { answered, confirmed } from "../popups.mjs";

const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g; // a paste that carries its own end would type what follows it
const LONG_CHARACTERS = 4096; // what a terminal's line holds; the rest of a longer one is lost
const SHOWN_LINES = 5;
const SHOWN_CHARACTERS = 300;

/** A text as it may be pasted: nothing in it can end the paste, or be a key. */
export const cleanedPaste = (text) => text.replace(CONTROLS, "");

/** What happens unseen when this is pasted into a program that takes a paste for typing, as a question; else null. */
function pasteQuestion(text, isBracketed) {
  const lines = text.trimEnd().split(/\r\n|\r|\n/);
  if (isBracketed || (lines.length === 1 && text.length <= LONG_CHARACTERS)) return null;
  const shown = lines.slice(0, SHOWN_LINES).join("\n").slice(0, SHOWN_CHARACTERS);
  const more = shown.length < text.trimEnd().length ? "\n…" : "";
  return {
    title: lines.length > 1 ? `Paste ${lines.length} lines?` : `Paste ${text.length.toLocaleString("en")} characters?`,
    text: `The program takes each line as if you typed it and pressed Enter.\n\n${shown}${more}`,
    action: "Paste",
    tone: "plain",
  };
}

/** Whether the user wants it, where there is something to ask. */
export async function sureToPaste(text, isBracketed) {
  const question = pasteQuestion(text, isBracketed);
  return question === null || confirmed(question);
}

export function copyText(text) {
  const give = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  document.addEventListener("copy", give, { capture: true, once: true });
  document.execCommand("copy");
  document.removeEventListener("copy", give, { capture: true });
}

/** The clipboard's text for a button, which no event brings: asked of the browser, or of the user where it gives nothing. "" for nothing. */
export async function clipboardText() {
  try {
    return await navigator.clipboard.readText();
  } catch {
    return pastedByHand(); // not there over plain http, or not allowed
  }
}

async function pastedByHand() {
  const dialog = document.createElement("dialog");
  dialog.className = "dx-dialog";
  dialog.setAttribute("aria-label", "Paste");
  dialog.innerHTML = `<form method="dialog" class="dx-terminal-paste"><h2 class="dx-dialog-title">Paste</h2>
    <p class="dx-muted">This browser does not let the page read the clipboard here. Paste into the field: Ctrl+V, or hold it and choose Paste.</p>
    <textarea class="dx-input" aria-label="Text to paste" autofocus spellcheck="false" autocapitalize="off"></textarea>
    <div class="dx-dialog-actions"><button class="dx-btn">Cancel</button></div></form>`;
  let text = "";
  dialog.querySelector("textarea").addEventListener("paste", (event) => {
    text = event.clipboardData.getData("text/plain");
    event.preventDefault();
    dialog.close();
  });
  await answered(dialog);
  return text;
}
