"""What is told of an error, and what is logged of it."""

import structlog
from starlette.responses import Response
from starlette.types import Scope

from app.storage.database import Unavailable, has_failed
from runner.answers import Unexpected, json_answer, page_answer, wants_page
from runner.errors import DevexError

log = structlog.get_logger("devex")


def public_error(error: Exception) -> DevexError:
    """`error` as whoever asked may read it. A fault of ours is logged here, joined to the answer by its id."""
    if isinstance(error, DevexError):
        return error
    told = Unavailable(error) if has_failed(error) else Unexpected()
    log.error("unexpected", id=told.id, exc_info=error)
    return told


def answer(scope: Scope, error: DevexError) -> Response:
    """A page where somebody looks at it, else JSON."""
    return page_answer(error) if wants_page(scope) else json_answer(error)
