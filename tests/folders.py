"""What all modules of a folder of tests share, such as a server: pytest knows a module and the whole session."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
_open: dict[Callable[[], AbstractContextManager[Any]], Any] = {}


def folder_of(node: pytest.Item | pytest.Collector) -> pytest.Collector:
    """The one below `tests`."""
    return next(parent for parent in node.iter_parents() if parent.nodeid.count("/") == 1)  # type: ignore[return-value]


def shared(request: pytest.FixtureRequest, opening: Callable[[], AbstractContextManager[T]]) -> T:
    """What `opening` gives, opened by who asks first and closed after the last test of the folder that runs here."""
    if opening not in _open:
        entered = opening()
        _open[opening] = entered.__enter__()

        def close() -> None:
            del _open[opening]
            entered.__exit__(None, None, None)

        folder_of(request.node).addfinalizer(close)
    found: T = _open[opening]
    return found
