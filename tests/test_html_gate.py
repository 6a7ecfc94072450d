"""Pages are made of elements: no text becomes HTML, and code for the browser is written here and put together nowhere.
What NiceGUI takes as HTML or as code is ours as it stands; what else there is, is listed with its reason.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).parents[1]
FOLDERS: Final = ("app", "components")
# Of `nicegui.ui`: what they are given is HTML, a style or Markdown, whoever wrote it.
SINKS: Final = frozenset(
    {
        *("html", "markdown", "restructured_text", "mermaid", "chat_message"),
        *("add_head_html", "add_body_html", "add_css", "add_scss", "add_sass"),
    }
)
CODE: Final = "run_javascript"
HANDLER: Final = "js_handler"
MARKS: Final = ("innerHTML", "v-html")  # in names of properties and in templates
ALLOWED: Final = {
    ("app/pages/application.py", "add_head_html"): "a constant of ours, for every page",
    ("app/pages/open_pages.py", CODE): "a constant of ours, sent as NiceGUI does to a page whose client is gone",
    ("components/preload.py", "add_head_html"): "names of files that the build made",
    ("components/repl/network.py", "add_head_html"): "an account's id, escaped, and a number",
    (
        "components/theme.py",
        "add_head_html",
    ): "constants of ours: an address that ends in a digest, and one of three styles",
}


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="ui"), attr=name) if name in SINKS:
                yield node.lineno, name
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "nicegui":
                yield from ((node.lineno, n.name) for n in names if n.name in SINKS)
                if (last := module.rpartition(".")[2]) in SINKS:
                    yield node.lineno, last
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[code, *_]) if name == CODE:
                if not is_ours(code):
                    yield node.lineno, CODE
            case ast.keyword(arg=str(name), value=value) if name in (CODE, HANDLER) and not is_ours(value):
                yield node.value.lineno, name
            case ast.keyword(arg="html", value=ast.Constant(value=True)):
                yield node.value.lineno, "html"
            case ast.Constant(value=str(text)):
                yield from ((node.lineno, mark) for mark in MARKS if mark in text)
                if text == CODE:
                    yield node.lineno, CODE


def is_ours(code: ast.expr) -> bool:
    """A text as it stands, or a constant of a module."""
    match code:
        case ast.Constant(value=str()):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
    return False


def modules() -> Iterator[tuple[str, ast.AST]]:
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield str(path.relative_to(REPOSITORY)), ast.parse(path.read_text())


def test_nothing_that_is_shown_becomes_html_or_code() -> None:
    found = {(name, what): line for name, tree in modules() for line, what in offences(tree)}
    assert len(found) > 3, "there is nothing to look at"
    new = [f"{name}:{line} {what}" for (name, what), line in found.items() if (name, what) not in ALLOWED]
    assert not new, f"show it with elements and texts, or list it with a reason: {new}"
    assert not ALLOWED.keys() - found.keys(), "what is not there any more is not to be allowed"


@pytest.mark.parametrize(
    "source",
    [
        "ui.html(name)",
        "ui.html('<b>ours</b>')",
        "ui.markdown(readme)",
        "from nicegui.ui import markdown",
        "from nicegui.elements.html import Html",
        "ui.add_head_html(f'<title>{name}</title>')",
        "ui.add_body_html(x)",
        "ui.add_css(x)",
        "ui.run_javascript(f'open({path})')",
        "client.run_javascript('open(' + path + ')')",
        "self.client.run_javascript(code)",
        "element.on('click', js_handler=f'() => go({path!r})')",
        "element.on('click', js_handler=handler(path))",
        "ui.notify(name, html=True)",
        "sio.emit('run_javascript', {'code': code})",
        "element._props['innerHTML'] = name",
        "element.add_slot('body', '<td v-html=\"props.row.name\" />')",
    ],
)
def test_the_gate_sees(source: str) -> None:
    assert list(offences(ast.parse(source)))


def test_the_gate_lets_ours_through() -> None:
    ours = (
        "ui.run_javascript('location.reload()')\nui.run_javascript(GO)\nx.on('click', js_handler=_GO)\nui.label(name)"
    )
    assert not list(offences(ast.parse(ours)))
