"""The gateway's log on stderr: lines for a person, or JSON for a machine; a key is in neither.

A JSON line has `time` (ISO 8601, UTC), `level`, `logger`, `message`, and where they are known `request`, `org` and
`source`: whoever knows one says so with `about`, and it is on every line of the same request or socket from then on.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, TextIO

from plexus.domain.names import KEY_PREFIX
from plexus.gateway.settings import Log

FIELDS = ("request", "org", "source")

_context: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("plexus.gateway.log", default={})  # noqa: B039 - never changed, only replaced
_key = re.compile(re.escape(KEY_PREFIX) + r"[^\s\"'\\,;&<>]+")


def about(**fields: str) -> None:
    """What this task's log lines are about from now on: `request`, `org`, `source`."""
    _context.set({**_context.get(), **fields})


def without_keys(text: str) -> str:
    """`text` with every key in it masked: the last line of defence, should one ever come near the log."""
    return _key.sub(KEY_PREFIX + "***", text) if KEY_PREFIX in text else text


def hush() -> None:
    """Keep the server's log from writing out frames (and with them keys) when a program logs everything."""
    log = logging.getLogger("uvicorn.error")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)


@contextlib.contextmanager
def written(log: Log, stream: TextIO | None = None) -> Iterator[None]:
    """While this lasts, this process's log goes to `stream` (stderr if none is named) too, in this form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Text() if log.format == "text" else _json())
    root, own = logging.getLogger(), logging.getLogger("plexus")
    before = (root.level, own.level)
    root.addHandler(handler)
    set_level(log)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        own.setLevel(before[1])


def set_level(log: Log) -> None:
    """Write from this level on. Other libraries' details stay out: their frames and headers hold keys."""
    level = getattr(logging, log.level.upper())
    logging.getLogger().setLevel(max(level, logging.INFO))
    logging.getLogger("plexus").setLevel(level)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_keys(super().format(record))


def _json() -> logging.Formatter:
    # Here, because a log for a person does not need it.
    from pythonjsonlogger.json import JsonFormatter

    class Json(JsonFormatter):
        def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            at = datetime.fromtimestamp(record.created, timezone.utc)
            log_data["time"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            log_data["level"] = record.levelname.lower()
            log_data["logger"] = record.name
            log_data["message"] = record.getMessage()
            log_data.update({name: value for name, value in _context.get().items() if name in FIELDS})
            for name in ("exc_info", "stack_info"):
                if message_dict.get(name):
                    log_data[name] = message_dict[name]

        def format(self, record: logging.LogRecord) -> str:
            return without_keys(super().format(record))

    return Json("%(message)s")
