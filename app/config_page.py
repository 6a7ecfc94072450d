"""`docs/configuration.md`, written from the settings: page and code cannot differ."""

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.settings import PREFIX, Settings
from orchestrator.backends.kubernetes.cluster import Network

_HEAD = """# Configuration

Every setting is an environment variable, or a line in the file `.env` in the folder DEVEX is started in; the
environment wins. None is needed: `python main.py` serves on http://127.0.0.1:8080 with everything in `./data`.
`devex doctor` says whether this machine can do what is set. This page is written by `devex config-doc`.

| Variable | Default | Meaning |
|---|---|---|
"""


def page() -> str:
    """The text of the page."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{PREFIX}{name.upper()}` | {_default(field)} | {field.description} |\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Network):
        return ""  # said in words
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`" if value not in ("", (), None, {}) else ""
