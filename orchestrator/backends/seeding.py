"""What all backends say and do alike when a workspace is made, whatever it lies on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from orchestrator.backends.base import BackendError
from runner.errors import DevexError
from runner.workspace import Workspace
from runner.workspace.paths import display

LACKS_NAMED: Final = 5  # files that a copy lacks: more make no sentence; the log has the rest
_SCRIPT: Final = b"#!"


def lay_out(workspace: Workspace, files: Mapping[str, bytes]) -> None:
    """Over what is there; scripts may be executed. Raises DevexError."""
    for path, data in files.items():
        if "/" in path:
            workspace.mkdir(path.rpartition("/")[0], parents=True, exist_ok=True)
        workspace.write_atomic(path, data, mode=0o755 if data.startswith(_SCRIPT) else 0o644)


def lacks(version: str, notes: Sequence[Sequence[str]], noted: int) -> str | None:
    """In plain words; `notes` are [path, why], of `noted` in all."""
    if not noted:
        return None
    named = [f"“{display(path)}” {why}" for path, why in notes[:LACKS_NAMED]]
    if noted > len(named):
        named.append(f"and {noted - len(named)} more")
    return f"Not everything of version {version} is here as it was: {'; '.join(named)}. Look for it in other versions."


@contextmanager
def in_their_words() -> Iterator[None]:
    """What the store or the workspace refuses, as a backend's error."""
    try:
        yield
    except BackendError:
        raise
    except DevexError as error:
        raise BackendError(error.message, retryable=error.retryable, action=error.action) from error
