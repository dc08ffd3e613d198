"""From readings to blocks: points become columns, and those that have no time of their own get one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from plexus.device.intake import Samples
from plexus.domain.point import Reading
from plexus.ports.clock import Clock
from plexus.protocol.block import Block
from plexus.protocol.suiting import part_of

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000


@attrs.frozen(eq=False)
class Stamped:
    """A block, and whether its times were made here: those of all its points, or of each."""

    block: Block
    made: bool | Sequence[bool]

    def __len__(self) -> int:
        return len(self.block)

    def part(self, start: int, stop: int) -> Stamped:
        """The points from number `start` to before `stop`."""
        return Stamped(
            part_of(self.block, start, stop), self.made if isinstance(self.made, bool) else self.made[start:stop]
        )

    def made_list(self) -> Sequence[bool]:
        """One for each point."""
        return [self.made] * len(self) if isinstance(self.made, bool) else self.made


class Stamper:
    """Makes the times of one batch, in whole steps of `unit_ns`; one look at the clock serves all of them.

    Times of one tick are equal in all batches until the clock is corrected, and never in another order than ticks.
    """

    def __init__(self, clock: Clock, unit_ns: int) -> None:
        self._unit = unit_ns
        self.zero_ms = clock.wall_ms(0)
        """The wall clock's time at tick 0."""
        # Rounded, not cut: half a unit is added here once, instead of to every point.
        self._zero_ns = round(self.zero_ms * 1e3) * MICROSECOND_NS + unit_ns // 2

    def readings(self, readings: Sequence[Reading]) -> Stamped:
        """One block of all readings, in order; at least one."""
        metrics, values, times, tags, classes, run_ids, ticks = zip(*readings, strict=True)
        t_ns, made = self._times(times, ticks)
        events = classes.count("event")
        is_event = bool(events) if events in (0, len(classes)) else [name == "event" for name in classes]
        return Stamped(Block(_one(metrics), t_ns, list(values), is_event, _one(tags), _one(run_ids)), made)

    def samples(self, samples: Samples) -> Stamped:
        """One block of these."""
        t_ns = samples.t_ns
        if samples.is_made:
            (at_ns,) = self._made([samples.tick])
            t_ns = self._moved(t_ns, at_ns)
        block = Block(samples.metric, t_ns, samples.values, tags=samples.tags, run_id=samples.run_id)
        return Stamped(block, samples.is_made)

    def _times(self, times: Sequence[int | None], ticks: Sequence[int]) -> tuple[list[int], bool | list[bool]]:
        missing = times.count(None)
        if missing == len(times):
            return self._made(ticks), True
        if not missing:
            return [t_ns for t_ns in times if t_ns is not None], False
        made = self._made(ticks)
        mixed = [own if t_ns is None else t_ns for t_ns, own in zip(times, made, strict=True)]
        return mixed, [t_ns is None for t_ns in times]

    def _made(self, ticks: Sequence[int]) -> list[int]:
        zero, unit = self._zero_ns, self._unit
        return [(tick + zero) // unit * unit for tick in ticks]

    def _moved(self, distances: Sequence[int], at_ns: int) -> Sequence[int]:
        if self._unit > MICROSECOND_NS:
            half, unit = self._unit // 2, self._unit
            return [(at_ns + distance + half) // unit * unit for distance in distances]
        if isinstance(distances, range):
            return range(distances.start + at_ns, distances.stop + at_ns, distances.step)
        return [at_ns + distance for distance in distances]


def _one(column: tuple[Any, ...]) -> Any:
    """The one thing that all points have, or a list of what each has."""
    return column[0] if column.count(column[0]) == len(column) else list(column)
