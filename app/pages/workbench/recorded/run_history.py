"""The history of a REPL's runs, and of its terminals: what they were, how they ended, and what they wrote."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from app.pages.frame import ask_sure
from app.pages.words import ago, size_words, span
from app.pages.workbench.recorded.record import Found, Record, record_ending
from app.pages.workbench.recorded.record_parts import Again, name_of, show_ending, show_output, show_ways
from components.controls import icon, icon_button, text
from runner.errors import DevexError

RUN, SHELL = "run", "shell"
SHOWN: Final = 200  # rows: a longer list is searched

_KINDS: Final = {RUN: "Runs", SHELL: "Terminals"}
_NOTHING: Final = {
    RUN: "Nothing has run here yet. Each run is kept, with what it wrote.",
    SHELL: "No terminal has been recorded yet.",
}
# Enter searches; an emptied field is the list again.
_SOUGHT: Final = '(event) => (event.key === "Enter" || !event.target.value) && emit(event.target.value)'

Delete = Callable[[str | None], Awaitable[None]]


class RunHistory:
    """A list of `records`, the newest first, beside one of them. `load` gets them anew, `search` what has a text in its
    output; both raise DevexError. `on_again` and `on_delete`, None where that cannot be done, get a record's id, or
    None to delete all that have ended; `on_watch` shows the one that runs.
    """

    def __init__(
        self,
        repl_id: str,
        records: Sequence[Record],
        *,
        load: Callable[[], Awaitable[Sequence[Record]]],
        search: Callable[[str], Awaitable[Found]],
        on_again: Again | None,
        on_delete: Delete | None,
        on_watch: Callable[[], Any],
    ) -> None:
        self._repl_id = repl_id
        self._load = load
        self._search = search
        self.on_again = on_again
        self._on_delete = on_delete
        self._on_watch = on_watch
        self._records = records
        self._found: Found | None = None  # while something is searched for
        self._sought = ""
        self._kind = RUN
        self._chosen = ""
        self._times: list[tuple[TextElement, Record]] = []
        with ui.element("div").classes("dx-runs").props("data-step=list") as self._root:
            with ui.element("div").classes("dx-runs-side"):
                self._bar()
                self._list = ui.element("div").classes("dx-runs-list").props("role=list")
            self._detail = ui.element("div").classes("dx-runs-detail")
        self._show_list()
        self._show_chosen()

    @property
    def records(self) -> Sequence[Record]:
        """The newest first, as of the last `refresh`."""
        return self._records

    async def refresh(self) -> None:
        """Ask anew."""
        try:
            records = await self._load()
        except DevexError as error:
            self._say(f"{error.message} {error.action}")
            return
        if records == self._records:
            return
        before = self._record(self._chosen)
        self._records = records
        self._show_list()
        if self._record(self._chosen) != before:
            self._show_chosen()

    def tick(self) -> None:
        """Say again how long ago it all was."""
        now = datetime.now(UTC)
        for shown, record in self._times:
            shown.set_text(_when(record, now))

    def _bar(self) -> None:
        with ui.element("div").classes("dx-runs-bar"):
            with ui.element("div").classes("dx-segments").props('role=group aria-label="What is listed"'):
                self._tabs = {kind: self._segment(kind, label) for kind, label in _KINDS.items()}
            field = ui.element("input").classes("dx-input").props("type=search enterkeyhint=search maxlength=200")
            field._props.update(
                {"placeholder": "Search all output", "aria-label": "Search all output", "title": "Enter searches"}
            )
            field.on("keyup", lambda e: self._seek(e.args), js_handler=_SOUGHT)
            field.on("search", lambda e: self._seek(e.args), js_handler=_SOUGHT)
            if self._on_delete:
                icon_button("trash", "Delete all records", partial(self._delete_all, self._on_delete))

    def _segment(self, kind: str, label: str) -> ui.element:
        with ui.element("button").props(f"type=button aria-pressed={str(kind == self._kind).lower()}") as segment:
            text(label)
        return segment.on("click", partial(self._list_kind, kind))

    def _list_kind(self, kind: str) -> None:
        self._kind = kind
        self._found = None
        for name, tab in self._tabs.items():
            tab.props(f"aria-pressed={str(name == kind).lower()}")
        self._show_list()

    async def _seek(self, sought: str) -> None:
        self._sought = sought.strip()
        self._found = None
        if self._sought:
            try:
                self._found = await self._search(self._sought)
            except DevexError as error:
                self._say(f"{error.message} {error.action}")
                return
        self._show_list()

    # The list

    def _say(self, sentence: str) -> None:
        self._list.clear()
        with self._list:
            text(sentence, "dx-runs-none dx-muted", tag="p").props("role=status")

    def _show_list(self) -> None:
        self._times.clear()
        self._list.clear()
        with self._list:
            if self._found is not None:
                self._show_found(self._found)
                return
            listed = [record for record in self._records if record.kind == self._kind][:SHOWN]
            for record in listed:
                self._row(record)
            if not listed:
                text(_NOTHING[self._kind], "dx-runs-none dx-muted", tag="p")

    def _show_found(self, found: Found) -> None:
        for record_id, line in found.matches:
            if record := self._record(record_id):
                with self._pressable(record, partial(self._choose, record.id, self._sought)):
                    icon("output" if record.is_run else "terminal")
                    with ui.element("span").classes("dx-grow"):
                        text(line.strip(), tag="code")._props["title"] = line
                        self._when(record, f"{name_of(record)} · ")
        if not found.matches or found.cut_off:
            said = "There is more: search for more of the line." if found.matches else "No output has it."
            text(said, "dx-runs-none dx-muted", tag="p").props("role=status")

    def _row(self, record: Record) -> None:
        pressed = self._on_watch if record.is_running and record.is_run else partial(self._choose, record.id)
        with self._pressable(record, pressed):
            if record.is_running:
                ui.element("span").classes("dx-spin")
            else:
                ending = record_ending(record)
                icon(ending.icon).props(f"data-tone={ending.tone}")
            with ui.element("span").classes("dx-grow"):
                text(name_of(record), tag="code")._props["title"] = record.command or record.title
                self._when(record, "" if record.is_running else f"{record_ending(record).words.partition(',')[0]} · ")
            with ui.element("span").classes("dx-runs-figures"):
                if record.duration_s is not None:
                    text(span(record.duration_s), tag="small")
                if record.peak_bytes:
                    text(size_words(record.peak_bytes), tag="small")

    def _pressable(self, record: Record, pressed: Callable[[], Any]) -> ui.element:
        current = str(record.id == self._chosen).lower()
        with ui.element("div").props("role=listitem"):
            row = ui.element("button").classes("dx-runs-row").props(f"type=button aria-current={current}")
        row._props["data-record"] = record.id
        return row.on("click", pressed)

    def _when(self, record: Record, before: str = "") -> None:
        with ui.element("small"):
            who = f"{record.who} · " if record.who else ""
            text(f"{before}{who}")
            shown = text(_when(record, datetime.now(UTC)))
            shown._props["title"] = f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"
            self._times.append((shown, record))

    # One of them

    def _record(self, record_id: str) -> Record | None:
        return next((record for record in self._records if record.id == record_id), None)

    def _choose(self, record_id: str, find: str = "") -> None:
        self._chosen = record_id
        self._root.props("data-step=record")
        for row in (child for item in self._list for child in item):
            row.props(f"aria-current={str(row._props.get('data-record') == record_id).lower()}")
        self._show_chosen(find)

    def _back(self) -> None:
        self._root.props("data-step=list")

    def _show_chosen(self, find: str = "") -> None:
        record = self._record(self._chosen)
        self._detail.clear()
        with self._detail:
            if record is None:
                self._back()
                with ui.element("div").classes("dx-hint-pane"):
                    text("Choose a run to see what it wrote.")
                return
            with ui.element("div").classes("dx-output-line"):
                icon_button("back", "Back to the list", self._back).classes("dx-runs-back")
                show_ending(record)
                show_ways(self._repl_id, record, self.on_again)
                if self._on_delete and not record.is_running:
                    icon_button("trash", "Delete this record", partial(self._delete, record, self._on_delete))
            show_output(self._repl_id, record, find)

    async def _delete_all(self, delete: Delete) -> None:
        explanation = (
            "What runs and terminals wrote is gone for good, but for those that go on. Files stay as they are."
        )
        if await ask_sure("Delete all records?", explanation=explanation, action="Delete all"):
            await delete(None)
            await self.refresh()

    async def _delete(self, record: Record, delete: Delete) -> None:
        explanation = "What it wrote is gone for good. Files stay as they are."
        if not await ask_sure(f"Delete the record of {name_of(record)}?", explanation=explanation, action="Delete"):
            return
        await delete(record.id)
        await self.refresh()


def _when(record: Record, now: datetime) -> str:
    if record.is_running:
        return f"for {span((now - record.started_at).total_seconds())}"
    return ago(record.started_at, now)
