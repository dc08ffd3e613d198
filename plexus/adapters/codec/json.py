"""The JSON codec: a batch's body is the array of points as every release of the protocol has it.

orjson writes it where it is installed, the standard library otherwise; both say the same. Reading is always the
contract's strict reader, since only batches that must be changed before they are sent are ever read.

Blocks of plain values, which is most of what a device sends, are not written point by point: all values are written as
one array, which is split at its commas; so are all times; and what is between them is the same for all points of a
metric. That is a third of the price, and says the same (a property test compares both ways).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plexus.domain.errors import ProtocolError
from plexus.domain.point import SECONDS_BELOW
from plexus.protocol import jsontext
from plexus.protocol.block import Block
from plexus.protocol.points import read_block, write_points

orjson: Any
try:
    import orjson
except ImportError:
    # The extra `plexus[speed]`; correct without it.
    orjson = None

KNOWN_OPENINGS = 10_000
"""Metrics whose opening is remembered; a program with more of them only pays for writing it again."""

_NUMBERS = frozenset({float, int, bool})
_SCALARS = frozenset({float, int, bool, str})
_SECONDS_BELOW_NS = int(SECONDS_BELOW) * 1_000_000
_STAMP = b',"timestamp":'


class JsonCodec:
    """Blocks as a JSON array of points. `fast` writes with orjson, which must be installed then."""

    def __init__(self, *, fast: bool = orjson is not None) -> None:
        self._dump = _dump_fast if fast else _dump_plain
        self._numbers = _numbers_fast if fast else _numbers_plain
        self._metric_openings = _Openings(self._dump, b"metric")
        self._event_openings = _Openings(self._dump, b"event")

    @property
    def name(self) -> str:
        """ "json"."""
        return "json"

    def encode(self, blocks: Sequence[Block]) -> bytes:
        """The blocks as one array; raises ProtocolError for what JSON cannot say."""
        return b"[" + b",".join([self._written(block) for block in blocks if len(block)]) + b"]"

    def decode(self, body: bytes) -> list[Block]:
        """The blocks of an array that `encode` wrote; raises ProtocolError for anything else."""
        if not body.startswith(b"["):
            raise ProtocolError("points must be an array", field="points")
        items = jsontext.loads(body)
        return [read_block(items)] if items else []

    def _written(self, block: Block) -> bytes:
        """The points of a block that is not empty, without the brackets around them."""
        values = self._value_texts(block)
        stamps = None if values is None else self._stamp_texts(block.t_ns)
        if values is None or stamps is None or not isinstance(block.is_event, bool):
            return self._dump(write_points(block))[1:-1]
        openings = self._event_openings if block.is_event else self._metric_openings
        n = len(values)
        pieces = [_STAMP] * (5 * n)
        pieces[0::5] = [openings[block.metric]] * n if isinstance(block.metric, str) else openings.of(block.metric)
        pieces[1::5] = values
        pieces[3::5] = stamps
        pieces[4::5] = [self._closing(block)] * n
        # The last comma is for a point that does not come.
        return b"".join(pieces)[:-1]

    def _value_texts(self, block: Block) -> list[bytes] | None:
        """The text of each value; None: they are not that plain."""
        if not (_is_one(block.tags, Mapping) and _is_one(block.run_id, str)):
            return None
        values = block.value if isinstance(block.value, list) else list(block.value)
        types = set(map(type, values))
        if types <= _NUMBERS:
            return self._number_texts(values)
        if types <= _SCALARS:
            return self._scalar_texts(values)
        return None

    def _number_texts(self, values: list[Any]) -> list[bytes] | None:
        text = self._numbers(values)
        # No number and no boolean has an "n" in it: this is the null of a NaN, or its name.
        return None if text is None or b"n" in text else text.split(b",")

    def _scalar_texts(self, values: list[Any]) -> list[bytes] | None:
        """Texts among numbers, if they are few different ones, as states are."""
        strings = {value for value in values if type(value) is str}
        if len(strings) * 4 > len(values) + 4:
            return None
        numbers = self._number_texts([value for value in values if type(value) is not str])
        if numbers is None:
            return None
        texts, rest = {value: self._dump(value) for value in strings}, iter(numbers)
        return [texts[value] if type(value) is str else next(rest) for value in values]

    def _stamp_texts(self, times: Sequence[int]) -> list[bytes] | None:
        if min(times) < _SECONDS_BELOW_NS:
            return None
        if times[0] % 1_000_000 or any(t_ns % 1_000_000 for t_ns in times):
            text = self._numbers([t_ns // 1_000 / 1e3 for t_ns in times])
        else:
            text = self._numbers([t_ns // 1_000_000 for t_ns in times])
        return None if text is None else text.split(b",")

    def _closing(self, block: Block) -> bytes:
        closing = b""
        if isinstance(block.tags, Mapping) and block.tags:
            closing = b',"tags":' + self._dump(dict(block.tags))
        if block.run_id is not None:
            closing += b',"run_id":' + self._dump(block.run_id)
        return closing + b"},"


class _Openings(dict[str, bytes]):
    """What stands before the value of a point, for each metric."""

    def __init__(self, dump: Callable[[Any], bytes], point_class: bytes) -> None:
        super().__init__()
        self._dump = dump
        self._start = b'{"class":"' + point_class + b'","metric":'

    def of(self, metrics: Sequence[str]) -> list[bytes]:
        """The opening of each point."""
        return list(map(self.__getitem__, metrics))

    def __missing__(self, metric: str) -> bytes:
        if len(self) >= KNOWN_OPENINGS:
            self.clear()
        opening = self[metric] = self._start + self._dump(metric) + b',"value":'
        return opening


def _is_one(column: object, kind: type) -> bool:
    return column is None or isinstance(column, kind)


def _numbers_fast(values: list[Any]) -> bytes | None:
    try:
        text: bytes = orjson.dumps(values)
    except TypeError:
        # An integer over 64 bits: whoever writes the points one by one says whose it is.
        return None
    return text[1:-1]


def _numbers_plain(values: list[Any]) -> bytes | None:
    if set(map(type, values)) <= {float, int}:
        return ",".join(map(repr, values)).encode()
    return None


def _dump_fast(value: Any) -> bytes:
    try:
        body: bytes = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ProtocolError(f"cannot be said in JSON: {exc}") from exc
    return body


def _dump_plain(value: Any) -> bytes:
    try:
        return jsontext.dumps(value).encode()
    except UnicodeEncodeError as exc:
        raise ProtocolError(f"cannot be said in JSON: {exc}") from exc
