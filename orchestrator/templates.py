"""The catalogue of templates: each is a folder with `template.toml` and `files/` beside this module."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).parent / "templates"
FILES_MOST_BYTES = 1024 * 1024  # a template is a first page to read, not a distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """`files` maps paths in the workspace to bytes; `open_file` is shown first; its program listens on `port`.

    `expected_output` are lines that one run must print: what the templates' tests wait for.
    """

    name: str
    title: str
    description: str
    language: str
    open_file: str | None
    run_command: str | None
    port: int | None
    needs: tuple[str, ...]
    install_hint: str
    environment: Mapping[str, str]
    expected_output: tuple[str, ...]
    installs: bool  # its first run fetches packages, which takes a network
    files: Mapping[str, bytes]

    def missing(self, has_tool: Callable[[str], bool]) -> str | None:
        """None when sandboxes have its tools; else a sentence that says which they lack, and what helps."""
        lacking = [tool for tool in self.needs if not has_tool(tool)]
        if not lacking:
            return None
        verb = "is" if len(lacking) == 1 else "are"
        return f"{', '.join(lacking)} {verb} not installed on this server. {self.install_hint}".strip()


def load(catalogue: Path = CATALOGUE) -> dict[str, Template]:
    """Every template by name, in the order its `order` says; raises ValueError for one that is not well formed."""
    found = [_read(folder) for folder in sorted(catalogue.iterdir()) if (folder / "template.toml").is_file()]
    return {template.name: template for _, template in sorted(found, key=lambda pair: pair[0])}


def _read(folder: Path) -> tuple[int, Template]:
    data: dict[str, Any] = tomllib.loads((folder / "template.toml").read_text(encoding="utf-8"))
    order = data.pop("order")
    files = dict(_files(folder / "files"))
    if sum(map(len, files.values())) > FILES_MOST_BYTES:
        raise ValueError(f"template {folder.name}: its files are larger than {FILES_MOST_BYTES} bytes")
    open_file = data.get("open_file")
    if open_file is not None and open_file not in files:
        raise ValueError(f"template {folder.name}: {open_file} is to be opened first but is not there")
    defaults: dict[str, Any] = {
        "open_file": None,
        "run_command": None,
        "port": None,
        "install_hint": "",
        "installs": False,
    }
    values = defaults | {"environment": {}} | data
    for field in ("needs", "expected_output"):
        values[field] = tuple(values.get(field, ()))
    try:
        return order, Template(name=folder.name, files=files, **values)
    except TypeError as error:
        raise ValueError(f"template {folder.name}: {error}") from None


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    if root.is_dir():
        for place in sorted(root.rglob("*")):
            if place.is_file():
                yield place.relative_to(root).as_posix(), place.read_bytes()
