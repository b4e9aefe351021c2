"""What is logged, and where: one event a line on stderr, secrets left out.

JSON where programs read it, colours where a person does. The standard library's loggers
(uvicorn, procrastinate, apscheduler) come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Never written, however deep in an event they stand.
SECRETS = frozenset(
    {
        "authorization",
        "access_token",
        "refresh_token",
        "client_secret",
        "password",
        "secret_key",
        "webhook_verifier_token",
        "webhook_key",
        "code_verifier",
    }
)
# Chatty about what we log ourselves, or about every request with its full address.
_QUIET = {
    **dict.fromkeys(
        ("httpx", "httpcore", "uvicorn.access", "apscheduler", "asyncio"), logging.WARNING
    ),
    "psycopg.pool": logging.ERROR,  # each failed attempt, while those who wait tell the outage
}


def drop_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: removes the values of keys that name secrets."""
    return {key: _without_secrets(value) for key, value in event.items() if not _is_secret(key)}


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and key.lower().replace("-", "_") in SECRETS


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_secrets(v) for k, v in value.items() if not _is_secret(k)}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value


def configure_logging(
    level: str = "info", form: str = "auto", stream: TextIO | None = None
) -> None:
    """Sets up logging for the process. form: json, console, or auto (console on a terminal)."""
    stream = sys.stderr if stream is None else stream
    console = form == "console" or (form == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_secrets,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not console:
        last.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*last, renderer])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
