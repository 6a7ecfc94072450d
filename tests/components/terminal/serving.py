"""A page with a terminal, whose programs run outside of a sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from runner.agent import install
from tests.components.serving import serving


@dataclass(frozen=True)
class Served:
    """The page's address, and where the programs run."""

    url: str
    workspace: Path


@contextmanager
def serving_terminals() -> Iterator[Served]:
    with TemporaryDirectory(prefix="devex-") as folder:
        directory = Path(folder)
        workspace, agent = directory / "workspace", directory / "agent"
        workspace.mkdir()
        agent.mkdir()
        install(agent)
        with serving("tests.components.terminal.terminal_page", directory, agent) as url:
            yield Served(url, workspace)
