"""The dialog that makes a REPL from a template."""

from uuid import uuid4

from nicegui import ui

from app.access import Action, Actor
from app.pages.frame import attempt, named_dialog
from app.pages.words import badge_of, colour_of
from app.services import Services
from components.controls import button, text
from orchestrator.templates import Template

RADIO_GROUP = 'role=radiogroup aria-label="Template"'
# As in any radio group: one stop for Tab, and the arrows choose.
ARROWS = """(event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!step) return;
    const radios = [...event.currentTarget.querySelectorAll("[role=radio]:not(:disabled)")];
    const next = radios.at((radios.indexOf(document.activeElement) + step) % radios.length);
    next.focus();
    next.click();
    event.preventDefault();
}"""


class NewRepl:
    """A dialog: templates as a radio group, a name, and create. Templates whose tools are missing say so."""

    def __init__(self, services: Services, actor: Actor) -> None:
        self._services = services
        self._orchestrator = services.orchestrator
        self._actor = actor
        self._cards: dict[str, ui.element] = {}
        self._chosen = ""
        self._request_id = ""
        templates = list(self._orchestrator.templates.values())
        with named_dialog("New REPL") as self._dialog, ui.card().classes("dx-dialog-body dx-dialog-wide"):
            text("New REPL", "dx-dialog-title", tag="h2")
            with ui.element("div").classes("dx-templates").props(RADIO_GROUP) as group:
                for template in templates:
                    self._card(template)
            group.on("keydown", js_handler=ARROWS).on("keydown.enter.prevent", self._create)
            self._name = ui.input("Name").props("outlined dense maxlength=80").classes("dx-name")
            self._name.on("keydown.enter", self._create)
            with ui.element("div").classes("dx-dialog-actions"):
                button("Cancel", self._dialog.close)
                button("Create", self._create, kind="primary")
        available = [template for template in templates if self._orchestrator.missing(template) is None]
        if available:
            self._choose(available[0])

    def open(self) -> None:
        """Show the dialog. However often Create is pressed in it, one REPL is made."""
        self._request_id = uuid4().hex
        self._dialog.open()

    def _card(self, template: Template) -> None:
        missing = self._orchestrator.missing(template)
        with ui.element("button").classes("dx-template").props("type=button role=radio aria-checked=false") as card:
            text(badge_of(template.name), "dx-tile").style(f"--tile: {colour_of(template.name)}")
            with ui.element("span"):
                text(template.title, "dx-template-title")
                text(missing or template.description, tag="small")
        if missing:
            card._props.update({"disabled": True, "title": missing})
            return
        card.on("click", lambda: self._choose(template))
        card.on("dblclick", self._create)
        self._cards[template.name] = card

    def _choose(self, template: Template) -> None:
        earlier = self._orchestrator.templates.get(self._chosen)
        untouched = not self._name.value or (earlier is not None and self._name.value == _name_for(earlier))
        self._chosen = template.name
        for name, card in self._cards.items():
            is_chosen = name == template.name
            card.props(f"aria-checked={str(is_chosen).lower()} tabindex={0 if is_chosen else -1}")
            card.props(add="data-autofocus" if is_chosen else "", remove="" if is_chosen else "data-autofocus")
        if untouched:
            self._name.value = _name_for(template)

    async def _create(self) -> None:
        async def create() -> None:
            name = self._name.value.strip()
            repl = await self._orchestrator.create(self._actor.user_id, name, self._chosen, request_id=self._request_id)
            ui.navigate.to(f"/repl/{repl.id}")

        await attempt(create, self._services, self._actor, Action.CREATE)


def _name_for(template: Template) -> str:
    return f"My {template.title}"
