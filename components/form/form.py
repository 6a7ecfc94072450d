"""A form whose browser sends it to a route by itself: a session cookie can only be set by an HTTP response."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

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
    """Posts its fields and `extra` as JSON, then goes to the page `then`. `focus` puts the cursor into it at once."""

    def __init__(
        self,
        fields: Sequence[Field],
        *,
        url: str,
        submit: str,
        then: str,
        extra: Mapping[str, str] | None = None,
        focus: bool = False,
    ) -> None:
        super().__init__()
        self._props.update(
            fields=[asdict(field) for field in fields],
            url=url,
            submit=submit,
            then=then,
            extra=dict(extra or {}),
            focus=focus,
        )
