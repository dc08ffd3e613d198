"""A block: points of one batch as columns, the form between the device's intake and a codec.

Columns, because a codec that takes them whole (struct, orjson, zstandard) costs a tenth of one that takes points one by
one, and because a high-rate block of samples arrives as columns already and must not become an object per sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

import attrs

from plexus.domain.values import Value

Tags = Mapping[str, str]


@attrs.define(eq=False)
class Block:
    """Points as columns; `t_ns` and `value` have the same length, which is the block's.

    A column that is the same for all points is that one thing instead of a sequence.

    Attributes:
        metric: the name of all points, or one for each.
        t_ns: nanoseconds since 1970 UTC; a list, an `array("q")`, a `range` (evenly spaced) or the like.
        value: a list of any values, or an `array`/`memoryview` of numbers ("d", "f", "q", "i", …), which holds nothing
            else.
        is_event: the class of all points, or one for each: True is an event, False a metric.
        tags: of all points, or a list with one entry (or None) for each.
        run_id: of all points, or a list with one entry (or None) for each.
    """

    metric: Union[str, Sequence[str]]
    t_ns: Sequence[int]
    value: Sequence[Value]
    is_event: Union[bool, Sequence[bool]] = False
    tags: Union[Tags, Sequence[Union[Tags, None]], None] = None
    run_id: Union[str, Sequence[Union[str, None]], None] = None

    def __len__(self) -> int:
        return len(self.t_ns)

    def metrics(self) -> Sequence[str]:
        """One name for each point."""
        return [self.metric] * len(self) if isinstance(self.metric, str) else self.metric

    def events(self) -> Sequence[bool]:
        """One class for each point."""
        return [self.is_event] * len(self) if isinstance(self.is_event, bool) else self.is_event

    def tag_list(self) -> Sequence[Tags | None]:
        """One entry for each point."""
        return [self.tags] * len(self) if self.tags is None or isinstance(self.tags, Mapping) else self.tags

    def run_ids(self) -> Sequence[str | None]:
        """One entry for each point."""
        return [self.run_id] * len(self) if self.run_id is None or isinstance(self.run_id, str) else self.run_id


def count_points(blocks: Sequence[Block]) -> int:
    """How many points these have together."""
    return sum(map(len, blocks))
