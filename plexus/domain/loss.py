"""A loss: points that a device had to drop, by reason, with the stretch of time that they were from."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping

import attrs


@attrs.frozen
class Loss:
    """What was dropped for one reason.

    Attributes:
        reason: one word for it: "buffer_full", "malformed", "non_finite", …
        count: how many points, at least 1.
        first_ms, last_ms: the lowest and highest timestamp among them, milliseconds since 1970 UTC; None where it is
            not known.
    """

    reason: str
    count: int
    first_ms: float | None = None
    last_ms: float | None = None

    def with_more(self, other: Loss) -> Loss:
        """Both as one loss, for the reason of this one."""
        firsts = [ms for ms in (self.first_ms, other.first_ms) if ms is not None]
        lasts = [ms for ms in (self.last_ms, other.last_ms) if ms is not None]
        return Loss(self.reason, self.count + other.count, min(firsts, default=None), max(lasts, default=None))


def merged(record: MutableMapping[str, Loss], losses: Iterable[Loss]) -> None:
    """Add losses to a record that keeps one for each reason."""
    for loss in losses:
        known = record.get(loss.reason)
        record[loss.reason] = loss if known is None else known.with_more(loss)
