"""Who looks at a REPL. The gateway says so in scope["devex.viewer"]; the proxy never finds out by itself."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class Viewer:
    """`can_write`: may type, run, edit; otherwise only look."""

    user_id: str
    name: str
    can_write: bool


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
