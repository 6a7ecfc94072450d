"""The one package that touches workspace paths; everything in a workspace is hostile and may change at any moment.

Nothing here follows a symbolic link or leaves the workspace. Not here: routes, documents, versions.
"""

from runner.workspace.drafts import ABSENT, Draft
from runner.workspace.entries import Entry, Stat
from runner.workspace.quota import UNLIMITED, Usage
from runner.workspace.splices import Splice, apply_splices
from runner.workspace.watch import TreeDelta, TreeWatcher
from runner.workspace.workspace import Workspace

__all__ = [
    "ABSENT",
    "UNLIMITED",
    "Draft",
    "Entry",
    "Splice",
    "Stat",
    "TreeDelta",
    "TreeWatcher",
    "Usage",
    "Workspace",
    "apply_splices",
]
