"""Log lines, ours and the libraries', in one form; no token reaches them."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.settings import Settings

_SECRETS = re.compile(r"(?i)\b(ticket|token|invite|client_id|password)=[^&\s\"']+")


def hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """In texts: addresses that libraries log come with their query."""
    return {key: _SECRETS.sub(r"\1=…", value) if isinstance(value, str) else value for key, value in event.items()}


def set_up(settings: Settings) -> None:
    """Have this process log to stderr, in the form and from the level that the settings say."""
    as_json = settings.log_format == "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if as_json
        else structlog.processors.TimeStamper("%H:%M:%S"),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        last += [structlog.processors.format_exc_info, hide_secrets, structlog.processors.JSONRenderer()]
    else:
        # Its default shows local variables: passwords among them, and seconds of work for the one event loop.
        plain = structlog.dev.plain_traceback
        last += [hide_secrets, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler()
    foreign: list[Processor] = [structlog.stdlib.ExtraAdder(), *shared]  # says also which REPL a line is about
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for library in ("uvicorn", "nicegui", "tortoise", "aiosqlite", "asyncio", "httpx", "engineio", "socketio"):
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
    for library in ("engineio.server", "socketio.server"):
        logging.getLogger(library).setLevel(logging.ERROR)  # imported after this, they make no handlers
        logging.getLogger(library).handlers.clear()  # imported before, they have
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
