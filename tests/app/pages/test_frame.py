"""What a page says of what went wrong."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock, Mock

import pytest
from tortoise.exceptions import OperationalError

from app.access import Action
from app.pages import frame
from app.pages.dashboard import Dashboard
from runner.errors import DevexError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DevexError("gone", "It is gone.", "Make another one."), "It is gone."),
        (OperationalError("database is locked"), "The database cannot be used just now."),
        (ZeroDivisionError(), "Something went wrong on the server."),
    ],
)
async def test_who_presses_hears_of_every_failure(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    async def is_allowed(*_: object) -> None:
        pass

    async def fails() -> None:
        raise error

    shown: list[str] = []
    monkeypatch.setattr(frame, "recheck", is_allowed)
    monkeypatch.setattr(frame, "failed", lambda message, _: shown.append(message))
    await frame.attempt(fails, cast("Any", None), cast("Any", None), Action.LIST)
    assert shown == [said]


async def test_the_cards_go_on_following_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two_changes() -> AsyncIterator[None]:
        yield None
        yield None

    fill = AsyncMock(side_effect=[OperationalError("is locked"), None])
    shown = Mock()
    monkeypatch.setattr(frame, "failed", shown)
    board = SimpleNamespace(_changes=two_changes(), fill=fill, _body=MagicMock(is_deleted=False))
    await Dashboard.follow(cast("Dashboard", board))
    assert (fill.await_count, shown.call_count) == (2, 1)
