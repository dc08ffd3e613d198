"""Taking over what a released SDK could not deliver before the upgrade: into our own spool, once.

A row leaves the old file in one transaction, after the batch that holds it is in our spool. A kill between the two
finds the row again, and makes the same batch under the same name of it: the spool knows it, or the gateway does. Two
clients that start at once take turns.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.buffer.released import ReleasedBuffer, Row
from plexus.adapters.filelock import alone
from plexus.adapters.privatefile import make_directory
from plexus.device.counters import UNREADABLE
from plexus.device.fitting import sealed_needs
from plexus.domain.errors import BufferFault
from plexus.domain.loss import Loss
from plexus.domain.point import Point
from plexus.ports.buffer import Buffer
from plexus.ports.codec import Codec
from plexus.ports.deadletters import DeadLetters
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.block import Block
from plexus.protocol.columns import Columns, Decoded
from plexus.protocol.hashing import blake2b
from plexus.protocol.points import decode_points, has_non_finite

ROWS_A_BATCH = 1_000
LOCK_NAME = "adopt.lock"

log = logging.getLogger("plexus")


@attrs.frozen
class Adoption:
    """Into what the rows go, and whose they are.

    Attributes:
        source_id: whose points are sent.
        former: names that the same device had before.
        own: the spool, which is durable.
        letters: where rows go that are no points.
        codec: JSON, which every gateway takes.
    """

    source_id: str
    former: Collection[str]
    own: Buffer
    letters: DeadLetters
    codec: Codec

    def take_over(self, path: Path) -> tuple[int, int]:
        """Empty this file of what is this source's; returns how many points moved, and how many rows were none.

        Raises BufferFault naming the file at fault: the rows that did not move stay.
        """
        moved = unreadable = after = 0
        while True:
            with ReleasedBuffer(path).taking() as taking:
                rows = taking.rows(after, ROWS_A_BATCH)
                if not rows:
                    return moved, unreadable
                points, bad = self._sorted(rows, path)
                if points:
                    self.own.append([self._sealed(points, path)])
                if bad:
                    self._set_aside(bad, path)
                taking.delete([number for number, *_rest in (*points, *bad)])
            moved, unreadable, after = moved + len(points), unreadable + len(bad), rows[-1][0]

    def _sorted(
        self, rows: Sequence[Row], path: Path
    ) -> tuple[list[tuple[int, str, Columns]], list[tuple[int, str, str]]]:
        """Rows that are points of this source, and rows that are none; those of other sources are in neither."""
        points: list[tuple[int, str, Columns]] = []
        bad: list[tuple[int, str, str]] = []
        # A point without a time is as old as the file, at the youngest; the same again after a kill.
        written_ns = path.stat().st_mtime_ns
        for number, data in rows:
            text = data if isinstance(data, str) else repr(data)
            try:
                # By the rules of who wrote it: NaN and Infinity stand there as such.
                item = json.loads(text)
            except (ValueError, RecursionError) as exc:
                bad.append((number, text, str(exc)))
                continue
            if self._is_others(item):
                continue
            decoded = decode_points([item], source_id=self.source_id, arrival_ns=written_ns)
            if why := _fault_of(decoded):
                bad.append((number, text, why))
            else:
                points.append((number, text, decoded.columns))
        return points, bad

    def _is_others(self, item: Any) -> bool:
        whose = item.get("source_id") if isinstance(item, Mapping) else None
        return whose is not None and whose != self.source_id and whose not in self.former

    def _sealed(self, points: Sequence[tuple[int, str, Columns]], path: Path) -> Batch:
        columns = Columns()
        identity = blake2b(path.name.encode(), digest_size=16)
        for number, text, own in points:
            columns.extend(own)
            identity.update(f"\0{number}\0{text}".encode("utf-8", "replace"))
        # Without its source: what the gateway calls this device now counts.
        block = Block(columns.metric, columns.t_ns, columns.value, columns.is_event, columns.tags, columns.run_id)
        body = self.codec.encode([block])
        first_ms, last_ms = min(columns.t_ns) / 1e6, max(columns.t_ns) / 1e6
        needs = sealed_needs([block], self.codec)
        return Batch(identity.hexdigest(), 1, len(columns), body, digest_of(body), needs, first_ms, last_ms)

    def _set_aside(self, bad: Sequence[tuple[int, str, str]], path: Path) -> None:
        for number, text, why in bad:
            letter = Point("unreadable", text, point_class="event")
            self.letters.keep(self.source_id, [letter], UNREADABLE, f"row {number} of {path}: {why}")
        self.own.lose([Loss(UNREADABLE, len(bad))])


def _fault_of(decoded: Decoded) -> str | None:
    if decoded.faults:
        return decoded.faults[0].error
    value = decoded.columns.value[0]
    inside = isinstance(value, (dict, list)) and has_non_finite(value)
    return "value holds a NaN or an infinity, for which JSON has no form" if inside else None


def adopt_released(paths: Sequence[Path], adoption: Adoption, lock: Path, report: Callable[[str], None]) -> int:
    """Take over what is in these files, one after the other, alone among all clients.

    Returns how many rows were no points. A file that cannot be read is named and left.
    """
    unreadable = 0
    if not paths:
        return unreadable
    try:
        make_directory(lock.parent)
        with alone(lock):
            for path in paths:
                unreadable += _adopt(path, adoption, report)
    except OSError as exc:
        report(f"{lock} cannot be locked: {exc.strerror or exc}; what earlier releases left stays until the next start")
    return unreadable


def _adopt(path: Path, adoption: Adoption, report: Callable[[str], None]) -> int:
    try:
        moved, unreadable = adoption.take_over(path)
    except BufferFault as exc:
        report(str(exc))
        return 0
    if moved:
        log.info("%d points that an earlier release left in %s are sent now", moved, path)
    return unreadable
