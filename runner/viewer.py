"""Who looks at a REPL. The gateway says so in scope["devex.viewer"]; the proxy never finds out by itself."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from runner.errors import DevexError


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever has it open, its owner as well. `can_write`: may type, run, edit; otherwise only look."""

    user_id: str
    name: str
    can_write: bool


class ReadOnly(DevexError):
    def __init__(self) -> None:
        action = "Fork it, or ask its owner to let you edit."
        super().__init__("read_only", "You may look at this REPL but not change it.", action, status=403)


NOBODY = Viewer("", "", can_write=False)
CONTROL_PLANE: Final = Viewer("@devex", "DEVEX", can_write=True)  # no account's id has an @


def viewer_of(scope: Scope) -> Viewer:
    """Without an introduction, somebody who may only look."""
    viewer = scope.get("devex.viewer", NOBODY)
    return viewer if isinstance(viewer, Viewer) else NOBODY


def runner_scope(scope: Scope, viewer: Viewer, *, path: str, raw_path: bytes) -> Scope:
    """The scope as the runner's routes expect it: nothing of where it is mounted, and who looks."""
    fresh = {**scope, "path": path, "raw_path": raw_path, "root_path": "", "devex.viewer": viewer}
    for name in ("app", "router", "endpoint", "path_params", "state"):
        fresh.pop(name, None)
    return fresh
