"""A form whose browser sends it to a route by itself: a session cookie can only be set by an HTTP response."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nicegui.element import Element

from components import BUNDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input; `autocomplete` is what password managers go by."""

    name: str
    label: str
    type: Literal["text", "password", "email"] = "text"
    autocomplete: str = "off"
    hint: str = ""
    min_length: int = 1


class Form(Element, component="devex_form.js", esm=BUNDLE):
    """Sends its fields and `extra` as JSON; then goes to the page `then`, or calls `on_done` with the answer.

    `focus` puts the cursor into the first field.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        *,
        url: str,
        submit: str,
        method: Literal["POST", "PUT", "PATCH"] = "POST",
        extra: Mapping[str, str] | None = None,
        then: str = "",
        focus: bool = False,
        said_when_done: str = "",
        on_done: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(
            fields=[asdict(field) for field in fields],
            url=url,
            method=method,
            submit=submit,
            extra=dict(extra or {}),
            then=then,
            focus=focus,
            said=said_when_done,
        )
        if on_done:
            self.on("done", lambda e: on_done(e.args))
