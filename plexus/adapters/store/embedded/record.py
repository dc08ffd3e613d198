"""What one row of the journal holds: the points of one group and what the group did to its streams.

A record is msgpack, compressed with zstd. msgpack keeps every value as it came (integers and floats apart, NaN, -0.0,
64 bits with and without sign), and encodes whole lists at 4 ns an item, which is why points stay in columns. A column
that holds the same thing for all points is kept once. A columnar body that was checked when it came is kept as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import msgspec
import zstandard

from plexus.domain.errors import ProtocolError, StoreError
from plexus.ports.store import Submission
from plexus.protocol import columnar
from plexus.protocol.columnar import arrayreading
from plexus.protocol.columnar.arrays import ArrayColumns
from plexus.protocol.columns import Columns, joined

LEVEL = 1
"""Of zstd: 8 to 10 bytes a point at 15 to 25 ns; the levels up to 5 save less than 3 % more."""

LARGE = 256
"""Points from which on a submission is a block of its own."""

MAX_RECORD_BYTES = 2**30
"""Before compression: no record is larger, so a damaged length cannot ask for more memory."""


class DamagedRecord(ValueError):  # noqa: N818 - it is a finding about the disk; who reads goes on
    """Bytes that are no record."""


class Block(msgspec.Struct, array_like=True):
    """Points of one group and organisation, in the order of commit.

    Attributes:
        org: the organisation.
        seen_ns: arrival of the newest submission, by source.
        source_id, run_id: the column, or the one value that all points have.
        tags: the column, or None when no point has any.
        metric, t_ns, is_event, value: the columns.
        body: a columnar body in place of all columns but `source_id`: its bytes, or on the way in the ArrayColumns of
            it. Came later than the others, as `count` did, how many points it has.
    """

    org: str
    seen_ns: dict[str, int]
    source_id: Union[str, list[str]]
    metric: list[str] = []
    t_ns: list[int] = []
    is_event: list[bool] = []
    value: list[Any] = []
    tags: Union[list[Mapping[str, str] | None], None] = None
    run_id: Union[list[str | None], str, None] = None
    body: Any = b""
    count: int = 0

    def __len__(self) -> int:
        return self.count or len(self.metric)


class Step(msgspec.Struct, array_like=True):
    """What a group did to one stream: where the watermark is after it, and the prints of the batches it stored."""

    org: str
    stream: str
    source_id: str
    watermark: int
    prints: dict[int, bytes]
    seen_ns: int


class Lost(msgspec.Struct, array_like=True):
    """What a device declared, under a batch's name, to have dropped for one reason; see `plexus.domain.loss`."""

    org: str
    source_id: str
    reason: str
    count: int
    first_ms: Union[float, None]
    last_ms: Union[float, None]


class Record(msgspec.Struct, array_like=True):
    """One row. `lost` came later than the others: a row without it is read as one with none."""

    blocks: list[Block]
    steps: list[Step]
    lost: list[Lost] = []

    @property
    def points(self) -> int:
        """How many points it holds."""
        return sum(map(len, self.blocks))


def _plain_body(body: Any) -> bytes:
    """What msgpack does not know: a body that is columns still."""
    if isinstance(body, ArrayColumns):
        return body.body
    raise TypeError(f"a {type(body).__name__} is no value")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain_body)
_decoder = msgspec.msgpack.Decoder(Record)


def gather(stored: Sequence[Submission]) -> list[Block]:
    """The points of these submissions in blocks, in their order within an organisation.

    Small submissions are put together, since a block costs 10 µs; large ones stay as they are, without a copy.
    """
    blocks: list[Block] = []
    small: dict[str, list[Submission]] = {}
    for submission in stored:
        if len(submission.columns) >= LARGE:
            if earlier := small.pop(submission.org, None):
                blocks.append(_block(earlier))
            blocks.append(_block([submission]))
        elif len(submission.columns):
            small.setdefault(submission.org, []).append(submission)
    blocks.extend(map(_block, small.values()))
    return blocks


def declared(stored: Sequence[Submission]) -> list[Lost]:
    """The losses that these submissions declare."""
    return [
        Lost(submission.org, submission.source_id, loss.reason, loss.count, loss.first_ms, loss.last_ms)
        for submission in stored
        if submission.batch is not None
        for loss in submission.losses
    ]


def columns_of(block: Block) -> ArrayColumns | Block:
    """What a block holds: the arrays of its body, or itself where it has columns. Raises DamagedRecord."""
    if isinstance(block.body, ArrayColumns):
        return block.body
    if not block.body:
        return block
    found = arrayreading.read(block.body, block.source_id, block.count)  # type: ignore[arg-type]  # a body is one source's
    if found is not None:
        return found
    # Taken once and not now: another version of the reader, which is why there are two.
    try:
        decoded = columnar.decode_points(block.body, source_id=str(block.source_id), max_points=block.count)
    except ProtocolError as exc:
        raise DamagedRecord(str(exc)) from exc
    return _of_columns(block.org, block.seen_ns, decoded.columns)


def spread(value: Union[list[Any], str, None], count: int) -> list[Any]:
    """A column again, when it was kept as the one value that all points have."""
    return value if isinstance(value, list) else [value] * count


def tags_of(block: Block) -> list[Mapping[str, str] | None]:
    """The column of tags."""
    return spread(block.tags, len(block.metric))


def pack(record: Record) -> bytes:
    """A record as bytes; raises StoreError for a value that is none of the domain's."""
    try:
        plain = _encoder.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise StoreError(f"{_culprit(record)} cannot be kept: {exc}") from exc
    if len(plain) > MAX_RECORD_BYTES:
        raise StoreError(f"a group of {len(plain)} bytes cannot be kept at once; commit smaller ones")
    # A compressor a call: one is not to be shared by threads, and making it costs 2 µs.
    return zstandard.ZstdCompressor(level=LEVEL).compress(plain)


def unpack(body: bytes) -> Record:
    """The record of these bytes; raises DamagedRecord."""
    try:
        if zstandard.frame_content_size(body) > MAX_RECORD_BYTES:
            raise DamagedRecord("its length is impossible")
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(body))
    except (zstandard.ZstdError, msgspec.MsgspecError, MemoryError) as exc:
        raise DamagedRecord(str(exc)) from exc


def _block(submissions: Sequence[Submission]) -> Block:
    columns = submissions[0].columns
    org, seen_ns = submissions[0].org, _seen(submissions)
    if len(submissions) > 1:
        columns = joined([submission.columns for submission in submissions])
    elif isinstance(columns, ArrayColumns):
        return Block(org, seen_ns, columns.source, body=columns, count=len(columns))
    return _of_columns(org, seen_ns, columns)


def _of_columns(org: str, seen_ns: dict[str, int], columns: Columns) -> Block:
    return Block(
        org=org,
        seen_ns=seen_ns,
        source_id=_collapsed(columns.source_id),
        metric=columns.metric,
        t_ns=columns.t_ns,
        is_event=columns.is_event,
        value=columns.value,
        tags=None if columns.tags.count(None) == len(columns) else columns.tags,
        run_id=_collapsed(columns.run_id),
    )


def _collapsed(column: list[Any]) -> Any:
    """The one value of a column, or the column. `count` looks at identity first: 1 ns an item."""
    return column[0] if column.count(column[0]) == len(column) else column


def _culprit(record: Record) -> str:
    """Which point a record cannot be made of."""
    for block in record.blocks:
        sources = spread(block.source_id, len(block.metric))
        for source_id, metric, value, tags in zip(sources, block.metric, block.value, tags_of(block), strict=True):
            try:
                _encoder.encode([metric, value, tags])
            except (TypeError, ValueError, OverflowError, RecursionError):
                return f"a point of source {source_id!r}, metric {metric!r},"
    return "this group"


def _seen(submissions: Sequence[Submission]) -> dict[str, int]:
    return {name: submission.arrival_ns for submission in submissions for name in submission.columns.sources()}
