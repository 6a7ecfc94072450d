// The box in which a user sets what terminals are like, and reads which keys they know.
import { answered } from "../popups.mjs";
import { SCROLLBACK_LINES, changeSettings, currentSettings, onSettings, stepFont } from "./settings.mjs";

const KEYS = [
  ["Ctrl+Shift+C, Ctrl+Shift+V", "Copy, paste"],
  ["Ctrl+Shift+F", "Find"],
  ["Ctrl+Shift+K", "Clear"],
  ["Ctrl+Shift+O", "Open a file or address that is named"],
  ["Ctrl+Plus, Ctrl+Minus, Ctrl+0", "Font size"],
  ["Ctrl+`", "Leave the terminal for its tab"],
];

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

function fontRow() {
  const shown = element("output", { className: "dx-terminal-size" });
  const step = (by, label, icon) => {
    const button = element("button", { type: "button", className: "dx-btn dx-btn-icon", title: label, onclick: () => stepFont(by) }, element("i", { className: `dx-i dx-i-${icon}` }));
    button.setAttribute("aria-label", label);
    return button;
  };
  const row = element("div", { className: "dx-terminal-setting" }, "Font size", step(-1, "Smaller", "minus"), shown, step(1, "Larger", "plus"));
  return { row, show: ({ fontPx }) => (shown.value = `${fontPx} px`) };
}

function scrollbackRow() {
  const options = SCROLLBACK_LINES.map((lines) => element("option", { value: lines, textContent: `${lines.toLocaleString("en")} lines` }));
  const select = element("select", { className: "dx-input", onchange: () => changeSettings({ scrollbackLines: Number(select.value) }) }, ...options);
  return { row: element("label", { className: "dx-terminal-setting" }, "Scrollback", select), show: ({ scrollbackLines }) => (select.value = scrollbackLines) };
}

function screenReaderRow() {
  const box = element("input", { type: "checkbox", onchange: () => changeSettings({ forScreenReader: box.checked }) });
  return { row: element("label", { className: "dx-terminal-setting" }, "Read out by a screen reader", box), show: ({ forScreenReader }) => (box.checked = forScreenReader) };
}

/** Opens it over the page; whatever is set holds at once, in every terminal. */
export async function openSettings() {
  const before = document.activeElement;
  const rows = [fontRow(), scrollbackRow(), screenReaderRow()];
  const keys = element("dl", { className: "dx-terminal-keys" });
  for (const [key, meaning] of KEYS) keys.append(element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: meaning }));
  const done = element("div", { className: "dx-dialog-actions" }, element("button", { className: "dx-btn dx-btn-primary", textContent: "Done", autofocus: true }));
  const form = element("form", { method: "dialog" }, element("h2", { className: "dx-dialog-title", textContent: "Terminal settings" }), ...rows.map(({ row }) => row), keys, done);
  const dialog = element("dialog", { className: "dx-dialog dx-terminal-settings" }, form);
  dialog.setAttribute("aria-label", "Terminal settings");
  const show = (settings) => rows.forEach((one) => one.show(settings));
  const forget = onSettings(show);
  show(currentSettings());
  await answered(dialog);
  forget();
  before?.focus?.({ preventScroll: true });
}
