"""Hatch's build hook: a wheel carries the built JavaScript, so that installing DEVEX needs no node."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class JavaScriptBundle(BuildHookInterface[Any]):
    """Runs components/build.py before the wheel is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        runpy.run_path(str(Path(self.root, "components", "build.py")), run_name="__main__")
