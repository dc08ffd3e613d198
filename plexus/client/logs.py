"""A program's log records as events of its source: `logging.getLogger().addHandler(plexus.LogHandler(px))`.

A record becomes the event `log` with `{"level", "logger", "message"}`, and `"exception"` where it has one. What a log
must not do is taken care of: it is sent no faster than its own limit, never about itself, and never at the program's
cost: a message that cannot be formatted is logging's own affair (`Handler.handleError`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from plexus.domain.errors import ConfigurationError
from plexus.domain.event import MAX_JSON_BYTES

EVENT = "log"
RATE = 10.0
BURST = 50
CUT_MARK = "…[cut]"
OWN = "plexus"
"""Records of this logger and those below it are about the sending itself."""

_SHRINK = 0.8


class EventSink(Protocol):
    """What takes the events: a `Plexus`."""

    def event(self, name: str, data: Any, timestamp: Any = None, tags: Mapping[str, Any] | None = None) -> bool:
        """Take one event."""
        ...


class LogHandler(logging.Handler):
    """Sends records as events. Choose them as with any handler: `level`, and `addFilter`.

    Args:
        px: the client, which stays the program's to close.
        level: the lowest level that is sent.
        rate, burst: at most so many records a second, and so many at once. What is over is not sent but counted: the
            next event says how many there were, in `"suppressed"`.
        tags: of every event.
        now: monotonic seconds.

    The level and the logger are in the event's tags too, so that readers can choose by them. Texts are cut, with a
    mark, so that an event's value stays under the 4,096 bytes that a gateway keeps of one.
    """

    def __init__(
        self,
        px: EventSink,
        level: int | str = logging.INFO,
        *,
        rate: float = RATE,
        burst: int = BURST,
        tags: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(level)
        if not rate > 0 or burst < 1:
            raise ConfigurationError(f"rate must be above 0 and burst at least 1, not {rate!r} and {burst!r}")
        self._px = px
        self._rate, self._burst = float(rate), int(burst)
        self._tags = dict(tags or {})
        self._now = now
        self._room, self._counted_at = float(burst), now()
        self._suppressed = 0
        self._emitting = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; called by logging, which holds the handler's lock."""
        if record.name == OWN or record.name.startswith(f"{OWN}.") or getattr(self._emitting, "now", False):
            return
        if not self._has_room():
            self._suppressed += 1
            return
        self._emitting.now = True
        try:
            value = self._value(record)
            self._px.event(EVENT, value, tags=self._tags_of(record))
            self._suppressed = 0
        except Exception:  # noqa: BLE001 - a log never ends the program; this is what logging has for it
            self.handleError(record)
        finally:
            self._emitting.now = False

    def _has_room(self) -> bool:
        now = self._now()
        self._room = min(float(self._burst), self._room + (now - self._counted_at) * self._rate)
        self._counted_at = now
        if self._room < 1.0:
            return False
        self._room -= 1.0
        return True

    def _value(self, record: logging.LogRecord) -> dict[str, Any]:
        value: dict[str, Any] = {
            "level": record.levelname,
            "logger": _sayable(record.name),
            "message": _sayable(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0] is not None:
            formatter = self.formatter or logging.Formatter()
            value["exception"] = _sayable(record.exc_text or formatter.formatException(record.exc_info))
        if self._suppressed:
            value["suppressed"] = self._suppressed
        return fitted(value)

    def _tags_of(self, record: logging.LogRecord) -> dict[str, str]:
        return {**self._tags, "level": record.levelname, "logger": _sayable(record.name)}


def fitted(value: dict[str, Any], limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The value in at most `limit` bytes of JSON: its longest text gives way first, an exception at its beginning."""
    value = dict(value)
    while (size := _size(value)) > limit:
        name = max((name for name in value if isinstance(value[name], str)), key=lambda name: len(value[name]))
        text = value[name].replace(CUT_MARK, "")
        keep = max(0, min(int(len(text) * _SHRINK), len(text) - (size - limit) // 6))
        # The end of a traceback says what happened.
        value[name] = CUT_MARK + text[len(text) - keep :] if name == "exception" else text[:keep] + CUT_MARK
        if not keep:
            break
    return value


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _sayable(text: str) -> str:
    # A lone surrogate (a file name, say) is no text for the wire.
    return text.encode("utf-8", "replace").decode()
