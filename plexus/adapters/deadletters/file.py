"""Dead letters in a file that a person can read with any tool: one line of JSON a refused batch.

Invariants:
- a line is whole, and on the disk when `keep` returns; lines of several processes do not mix;
- the file has mode 0600; a symbolic link in its place is refused;
- when a line would make the file larger than MAX_BYTES, the file becomes `….1`, and the one of that name before it is
  removed: how many points it held is counted in `removed_points` and said in a warning;
- the file is open only while a line is written, so a person may move it away at any time.

    {"time": "2026-11-24T12:00:00.000Z", "source_id": "drone-01", "reason": "malformed", "detail": "…", "count": 1,
     "points": [{"metric": "motor.rpm", "value": 3200, "timestamp": 1746969660000.0, "class": "metric"}]}

NaN and the infinities stand as `"NaN"`, `"Infinity"` and `"-Infinity"`, since JSON has no numbers for them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from plexus.adapters.filelock import alone
from plexus.adapters.privatefile import NO_FOLLOW, flush_directory, link_among, make_directory, set_mode
from plexus.domain.errors import BufferFault
from plexus.domain.point import Point

FILE_NAME = "dead-letters.jsonl"
MAX_BYTES = 8 * 1024 * 1024

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_FOLLOW

log = logging.getLogger("plexus")


class FileDeadLetters:
    """Dead letters in `directory`, which is made when the first one comes. `now` is in seconds since 1970 UTC."""

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES, now: Callable[[], float] = time.time) -> None:
        self.path = Path(directory).absolute() / FILE_NAME
        self.removed_points = 0
        """Points of letters that this process had to remove to make room."""
        self._old = self.path.with_name(f"{FILE_NAME}.1")
        self._lock = self.path.with_name("dead-letters.lock")
        self._max_bytes = max_bytes
        self._now = now

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        """Keep the points of one refused batch, durably."""
        letter = {
            "time": _written(self._now()),
            "source_id": source_id,
            "reason": reason,
            "detail": detail,
            "count": len(points),
            "points": [_shown(point) for point in points],
        }
        line = json.dumps(letter, separators=(",", ":")).encode() + b"\n"
        with self._faults():
            make_directory(self.path.parent)
            if (link := link_among((self.path, self._old, self._lock))) is not None:
                raise BufferFault(f"{link} is a symbolic link: dead letters are kept in a file of their own; remove it")
            with alone(self._lock):
                self._rotate(len(line))
                self._append(line)

    def close(self) -> None:
        """Nothing is open."""

    def _append(self, line: bytes) -> None:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, _APPEND, 0o600)
        try:
            set_mode(self.path, 0o600)
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, line)
                os.fsync(descriptor)
            except OSError:
                # Half a line would spoil the next one.
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            flush_directory(self.path.parent)

    def _rotate(self, more: int) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if not size or size + more <= self._max_bytes:
            return
        removed = _points_in(self._old)
        self.path.replace(self._old)
        flush_directory(self.path.parent)
        if removed:
            self.removed_points += removed
            log.warning("%d refused points were removed from %s to make room for newer ones", removed, self._old)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise BufferFault(
                f"{self.path} cannot be written: {exc.strerror or exc}; check that the disk is not full or read-only "
                "and the directory is yours"
            ) from exc


def _write_all(descriptor: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _points_in(path: Path) -> int:
    """How many points a file of letters holds; a line that somebody edited counts as none."""
    if not path.exists():
        return 0
    count = 0
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                count += int(json.loads(line)["count"])
    return count


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(point: Point) -> dict[str, Any]:
    shown: dict[str, Any] = {"metric": point.metric, "value": _finite(point.value), "class": point.point_class}
    optional = (("timestamp", point.timestamp_ms), ("tags", point.tags), ("run_id", point.run_id))
    shown.update({name: value for name, value in optional if value is not None})
    return shown if point.source_id is None else {**shown, "source_id": point.source_id}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0.0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
