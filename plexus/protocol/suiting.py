"""What blocks need of a link, and how they are made to suit one that has less (protocol page, section 9)."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import attrs

from plexus.domain.values import Value, is_number
from plexus.protocol.block import Block
from plexus.protocol.extensions import ANY_METRIC, NON_FINITE, PRECISION, Features
from plexus.protocol.points import has_non_finite

NS_PER_MS = 1_000_000
MANY = 256

_NUMBERS = frozenset({float, int})


def needs(blocks: Sequence[Block]) -> Features:
    """The extensions without which these points cannot travel as they are, whatever codec carries them."""
    needed: set[str] = set()
    for block in blocks:
        if isinstance(block.value, (array, memoryview)):
            if not _is_finite(block.value):
                needed.add(NON_FINITE)
        else:
            needed |= _needs_of(block)
        if not _is_whole_ms(block.t_ns):
            needed.add(PRECISION)
    return frozenset(needed)


def _needs_of(block: Block) -> set[str]:
    needed: set[str] = set()
    values, types = block.value, set(map(type, block.value))
    if float in types and not _is_sum_finite(values if types <= _NUMBERS else _floats(values)):
        needed.add(NON_FINITE)
    if not types <= _NUMBERS and any(
        not is_event and not is_number(value) for value, is_event in zip(values, block.events(), strict=True)
    ):
        needed.add(ANY_METRIC)
    return needed


def _floats(values: Sequence[Value]) -> list[float]:
    return [value for value in values if isinstance(value, float)]


def _is_sum_finite(numbers: Sequence[Any]) -> bool:
    # One sum is a tenth of the price of many tests, and only what is not finite, or huge, spoils it.
    return math.isfinite(sum(numbers)) or all(number - number == 0 for number in numbers)


def _is_finite(samples: Any) -> bool:
    """The same for samples, without an object for each: only a number near 1e308 (1e38) has 0x7F or 0xFF on top."""
    if memoryview(samples).format not in ("d", "f"):
        return True
    tops = top_bytes(samples)
    return (b"\x7f" not in tops and b"\xff" not in tops) or all(map(math.isfinite, samples))


def top_bytes(numbers: Any) -> bytes:
    """The highest byte of each number of a buffer, which says how large they are."""
    view = memoryview(numbers)
    highest = 0 if sys.byteorder == "big" else view.itemsize - 1
    return view.cast("B").tobytes()[highest :: view.itemsize]


def _is_whole_ms(times: Sequence[int]) -> bool:
    if isinstance(times, range):
        return not times or (times[0] % NS_PER_MS == 0 and times[-1] % NS_PER_MS == 0 and times.step % NS_PER_MS == 0)
    return not any(t_ns % NS_PER_MS for t_ns in times)


def span_ns(blocks: Sequence[Block]) -> tuple[int, int]:
    """The lowest and highest time of these blocks, none of them empty."""
    ends = [end for block in blocks for end in _ends(block.t_ns)]
    return min(ends), max(ends)


def _ends(times: Sequence[int]) -> tuple[int, int]:
    if isinstance(times, range):
        return min(times[0], times[-1]), max(times[0], times[-1])
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(times, array) and len(times) >= MANY:
        # Where the program has it anyway, there need not be an object for each time.
        column = numpy.frombuffer(times, "q")
        return int(column.min()), int(column.max())
    return min(times), max(times)


def fit(blocks: Sequence[Block], features: Features) -> tuple[list[Block], int]:
    """Fit blocks to a JSON link with only these features; returns them and how many points had to go.

    Without `any_metric` what is no number becomes an event; without `precision` times are whole milliseconds. What goes
    are NaN and infinities without `non_finite`, and those inside an object or array, which JSON never has a form for.
    """
    fitted = [_fit_one(block, features) for block in blocks]
    lost = sum(map(len, blocks)) - sum(map(len, fitted))
    return [block for block in fitted if len(block)], lost


def _fit_one(block: Block, features: Features) -> Block:
    missing = needs([block]) - features
    if NON_FINITE in missing or not _is_plain(block.value):
        block = _without_non_finite(block, all_of_them=NON_FINITE in missing)
    if ANY_METRIC in missing:
        events = [is_event or not is_number(value) for value, is_event in zip(block.value, block.events(), strict=True)]
        block = attrs.evolve(block, is_event=events)
    if PRECISION in missing:
        whole = [(t_ns + NS_PER_MS // 2) // NS_PER_MS * NS_PER_MS for t_ns in block.t_ns]
        block = attrs.evolve(block, t_ns=whole)
    return block


def _is_plain(values: Sequence[Value]) -> bool:
    return isinstance(values, (array, memoryview)) or {dict, list}.isdisjoint(map(type, values))


def _without_non_finite(block: Block, *, all_of_them: bool) -> Block:
    stays = [not has_non_finite(value) or (isinstance(value, float) and not all_of_them) for value in block.value]
    return block if all(stays) else _mapped(block, lambda column: list(compress(column, stays)))


def part_of(block: Block, start: int, stop: int) -> Block:
    """The points of a block from number `start` to before `stop`."""
    if start <= 0 and stop >= len(block):
        return block
    return _mapped(block, lambda column: column[start:stop])


def _mapped(block: Block, change: Any) -> Block:
    """The block with `change` made to each of its columns; what is the same for all points stays."""
    return Block(
        block.metric if isinstance(block.metric, str) else change(block.metric),
        change(block.t_ns),
        change(block.value),
        block.is_event if isinstance(block.is_event, bool) else change(block.is_event),
        block.tags if block.tags is None or isinstance(block.tags, Mapping) else change(block.tags),
        block.run_id if block.run_id is None or isinstance(block.run_id, str) else change(block.run_id),
    )
