// What pops up over the page: a menu at a point, and questions.

/** Shows [{label, icon, keys, run} | null (a line)] at a point; arrows, Enter and Escape work; focus goes back afterwards. */
export function openMenu(items, { x, y }) {
  const before = document.activeElement;
  const menu = document.createElement("div");
  menu.className = "dx-menu";
  menu.setAttribute("role", "menu");
  for (const item of items) menu.append(item ? menuItem(item) : document.createElement("hr"));
  document.body.append(menu);
  menu.style.left = `${Math.max(4, Math.min(x, innerWidth - menu.offsetWidth - 4))}px`;
  menu.style.top = `${Math.max(4, Math.min(y, innerHeight - menu.offsetHeight - 4))}px`;
  const buttons = [...menu.querySelectorAll("button")];
  const scope = new AbortController();
  const close = (focusBack) => {
    scope.abort();
    menu.remove();
    if (focusBack) before?.focus?.({ preventScroll: true });
  };
  const on = (target, type, listener) => target.addEventListener(type, listener, { signal: scope.signal, capture: true });
  on(menu, "click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    close(true);
    button.run();
  });
  on(window, "pointerdown", (event) => menu.contains(event.target) || close(false));
  on(window, "blur", (event) => event.target === window && close(false)); // captured: those of elements pass by as well
  on(menu, "keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to !== undefined) buttons.at(to % buttons.length).focus();
    else if (event.key === "Escape" || event.key === "Tab") close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  buttons[0].focus();
}

function menuItem({ label, icon, keys, run }) {
  const button = document.createElement("button");
  button.setAttribute("role", "menuitem");
  const glyph = document.createElement("i");
  glyph.className = `dx-i dx-i-${icon}`;
  button.append(glyph, label);
  if (keys) button.append(Object.assign(document.createElement("kbd"), { textContent: keys }));
  button.run = run;
  return button;
}

/** Asks; resolves to true only when the named action was chosen. `tone` is "danger" where something is lost. */
export async function confirmed({ title, text, action, tone = "danger" }) {
  const dialog = dialogOf({ title, text, action, tone });
  dialog.querySelector("[value=yes]").autofocus = true;
  return (await answered(dialog)) === "yes";
}

/** Asks for one line; resolves to null when the user thinks better of it. */
export async function asked({ title, text, label, value, most, action }) {
  const dialog = dialogOf({ title, text, action, tone: "plain" });
  const field = Object.assign(document.createElement("input"), { className: "dx-input", value, maxLength: most, autofocus: true, spellcheck: false });
  field.setAttribute("aria-label", label);
  dialog.querySelector("p").after(field);
  return (await answered(dialog)) === "yes" ? field.value.trim() : null;
}

function dialogOf({ title, text, action, tone }) {
  const dialog = document.createElement("dialog");
  dialog.className = "dx-dialog";
  dialog.setAttribute("aria-label", title);
  dialog.innerHTML = `<form method="dialog" style="display:grid;gap:14px"><div class="dx-dialog-title"></div><p class="dx-muted"></p>
    <div class="dx-dialog-actions"><button type="button" class="dx-btn">Cancel</button><button class="dx-btn dx-btn-primary" value="yes"></button></div></form>`;
  dialog.querySelector(".dx-dialog-title").textContent = title;
  dialog.querySelector("p").textContent = text;
  const yes = dialog.querySelector("[value=yes]");
  yes.textContent = action;
  yes.classList.toggle("dx-btn-danger", tone === "danger");
  dialog.querySelector("[type=button]").onclick = () => dialog.close("");
  return dialog;
}

/** Shows a dialog until it is closed; resolves to how. */
export function answered(dialog) {
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
