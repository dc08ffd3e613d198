"""The columnar decoder and the JSON decoders agree on every point that JSON can say, and on every fault."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.gateway import Gateway, decoding
from plexus.gateway.core import Limits
from plexus.gateway.intake import only_source
from plexus.protocol import binaryframe, columnar, frames
from plexus.protocol.batch import BatchName
from plexus.protocol.block import Block
from plexus.protocol.columns import Decoded, PointFault
from plexus.protocol.points import NON_FINITE_NAMES
from tests.adapters.columnar_blocks import blocks
from tests.gateway.test_ingest import STREAM, post, stored
from tests.support.gateway import device, make_key

ARRIVAL_NS = 5
ENVELOPE = frames.Envelope("drone-01", ARRIVAL_NS)
NAME = BatchName(STREAM, 1, 1, "ab")
LATEST_NS = int(9.2e18)
MESSAGE_POINTS = Limits().message_points
TOO_MANY = columnar.write_body([Block("m", range(10**18, 10**18 + MESSAGE_POINTS + 1), [1] * (MESSAGE_POINTS + 1))], 0)

# Times that a JSON number of milliseconds says to the microsecond: after 2001, or before 1970.
sayable = st.one_of(
    st.integers(10**18, 10**18 + 10**9), st.integers(10**18, LATEST_NS), st.integers(-LATEST_NS, 0)
).map(lambda t_ns: t_ns // 1_000 * 1_000)
out_of_range = st.sampled_from([LATEST_NS + 10**9, -LATEST_NS - 10**9, 2**63 - 1])

ODD_METRICS = st.sampled_from(["", "m" * 512, "m" * 513, "é" * 257])
DEEP: list[Any] = []
for _ in range(70):
    DEEP = [DEEP]
ODD_VALUES = st.sampled_from([DEEP, [2**64], {"a": -(2**63) - 1}, [None]])
ODD_TAGS = st.sampled_from([{f"k{i}": "v" for i in range(17)}, {f"k{i}": "v" for i in range(16)}, {}])


@st.composite
def odd_blocks(draw: st.DrawFn) -> Block:
    """A block in which a point or two break a rule."""
    block = draw(blocks(time=sayable))
    columns: tuple[list[Any], ...] = (
        list(block.metrics()),
        list(block.t_ns),
        list(block.value),
        list(block.tag_list()),
    )
    if len(block):
        for column, odd in zip(columns, (ODD_METRICS, out_of_range, ODD_VALUES, ODD_TAGS), strict=True):
            if draw(st.booleans()):
                column[draw(st.integers(0, len(block) - 1))] = draw(odd)
    metric, t_ns, value, tags = columns
    return Block(metric, t_ns, value, block.is_event, tags, block.run_id)


def json_points(some: Sequence[Block]) -> list[dict[str, Any]]:
    """The same points as JSON has them, written apart from any codec."""
    items = []
    for block in some:
        rows = zip(
            block.metrics(), block.t_ns, block.value, block.events(), block.tag_list(), block.run_ids(), strict=True
        )
        for metric, t_ns, value, event, tags, run_id in rows:
            item = {
                "metric": metric,
                "timestamp": t_ns // 10**6 if t_ns % 10**6 == 0 else t_ns / 10**6,
                "value": value,
                "class": "event" if event else "metric",
                "tags": tags,
                "run_id": run_id,
            }
            if isinstance(value, float) and value - value != 0.0:
                name = next(text for text, number in NON_FINITE_NAMES.items() if repr(number) == repr(value))
                item |= {"value": name, "non_finite": True}
            items.append(item)
    return items


def facts(decoded: Decoded) -> tuple[Any, ...]:
    """Everything but the times, with the types of all."""
    columns = decoded.columns
    return (
        repr((columns.source_id, columns.metric, columns.is_event, columns.value, columns.tags, columns.run_id)),
        decoded.faults,
    )


def agree(some: Sequence[Block]) -> None:
    body = columnar.write_body(some, columnar.BEST)
    text = json.dumps({"type": "telemetry", "points": json_points(some)})
    ours = decoding.parse(binaryframe.dump(body), ENVELOPE)
    reference, fast = frames.parse(text, ENVELOPE), decoding.parse(text, ENVELOPE)
    assert isinstance(ours, frames.Telemetry)
    for theirs in (reference, fast):
        assert isinstance(theirs, frames.Telemetry)
        assert facts(ours.decoded) == facts(theirs.decoded)
        pairs = zip(ours.decoded.columns.t_ns, theirs.decoded.columns.t_ns, strict=True)
        assert all(abs(left - right) <= 1_000 for left, right in pairs)


@settings(max_examples=150, deadline=None)
@given(st.lists(blocks(time=sayable), max_size=3))
def test_three_decoders_read_the_same_points(some: list[Block]) -> None:
    agree(some)


@settings(max_examples=150, deadline=None)
@given(st.lists(odd_blocks(), min_size=1, max_size=2))
def test_three_decoders_find_the_same_faults(some: list[Block]) -> None:
    agree(some)


def test_nanoseconds_stay_exact() -> None:
    times = [1_746_969_660_123_456_789, 1_746_969_660_123_456_790, -1]
    decoded = columnar.decode_points(_body(Block("m", times, [1, 2, 3])), source_id="s", max_points=9)
    assert decoded.columns.t_ns == times


def test_a_time_at_the_edge_is_kept_and_a_nanosecond_beyond_is_a_fault() -> None:
    block = Block("m", [LATEST_NS, LATEST_NS + 1, -LATEST_NS, -LATEST_NS - 1, 7], [1, 2, 3, 4, 5])
    decoded = columnar.decode_points(_body(block), source_id="s", max_points=9)
    assert decoded.columns.t_ns == [LATEST_NS, -LATEST_NS, 7]
    assert [fault.index for fault in decoded.faults] == [1, 3]


def test_listings_that_no_codec_writes_are_faults_of_their_points_only() -> None:
    body = _body(Block(["a", "b"] * 2, [1, 2, 3, 4], [1, 2, 3, 4], run_id=["run", None] * 2))
    for told, error in (
        (b'{"m":["a",7]}', "metric must be a string"),
        (b'{"m":["a",null]}', "metric must be a string"),
        (b'{"m":["a","b"],"t":[null,{"k":1}]}', "tags must be an object of strings"),
        (b'{"m":["a","b"],"t":[null,"k"]}', "tags must be an object of strings"),
        (b'{"m":["a","b"],"r":["run",1]}', "run_id must be a string"),
    ):
        decoded = columnar.decode_points(_relisted(body, told), source_id="s", max_points=9)
        assert decoded.columns.value == [1, 3]
        assert decoded.faults == (PointFault(1, error), PointFault(3, error))


@pytest.mark.parametrize(
    "told", [b"[]", b'{"m":"a"}', b'{"m":[]}', b'{"m":["a","b"],"e":[1,0]}', b'{"m":["a","b"],"r":["x"]}', b"{"]
)
def test_a_listing_of_another_shape_is_refused(told: bytes) -> None:
    body = _body(Block(["a", "b"] * 2, [1, 2, 3, 4], [1, 2, 3, 4], run_id=["run", None] * 2))
    with pytest.raises(ProtocolError):
        columnar.decode_points(_relisted(body, told), source_id="s", max_points=9)


def test_objects_are_judged_like_json() -> None:
    block = Block("m", [1, 2, 3], [{"a": 1}, [2**70], [1]])
    decoded = columnar.decode_points(_body(block), source_id="s", max_points=9)
    assert decoded.columns.value == [{"a": 1}, [1]]
    assert decoded.faults[0].index == 1


def test_without_a_source_every_point_is_a_fault() -> None:
    ingest = decoding.parse_body(binaryframe.dump(_body(Block("m", [1, 2], [1, 2]))), ARRIVAL_NS)
    assert [fault.error for fault in ingest.decoded.faults] == [
        "source_id is required, in the point or in the envelope"
    ] * 2


def test_a_body_says_whose_it_is_and_what_it_is_called() -> None:
    message = binaryframe.dump(_body(Block("m", [1], [1.5])), batch=NAME, source_id="rig-01")
    ingest = decoding.parse_body(message, ARRIVAL_NS)
    assert (ingest.source_id, ingest.batch, ingest.decoded.columns.source_id) == ("rig-01", NAME, ["rig-01"])


@pytest.mark.parametrize("source_id", ["RIG", "../x", ""])
def test_a_body_of_a_source_with_a_bad_name_is_refused(source_id: str) -> None:
    with pytest.raises(ProtocolError, match="source_id"):
        decoding.parse_body(binaryframe.dump(_body(), source_id=source_id), ARRIVAL_NS)


def test_a_key_of_one_source_is_held_to_it() -> None:
    frame = decoding.parse(binaryframe.dump(_body(Block("m", [1], [1]))), ENVELOPE)
    assert isinstance(frame, frames.Telemetry)
    assert only_source(frame.decoded, "drone-02").columns.metric == []


# --- over real HTTP and real sockets -----------------------------------------------------------------------------


def test_an_ingest_of_columns_is_stored(gateway: Gateway) -> None:
    message = binaryframe.dump(_body(Block("m", [10**18, 10**18 + 1], [1.5, float("inf")])), source_id="rig-01")
    answer = post(gateway, message, **{"content-type": binaryframe.CONTENT_TYPE})
    assert answer == (200, {"success": True, "count": 2, "dropped": 0, "source_id": "rig-01"})
    assert stored(gateway) == [1.5, float("inf")]


def test_an_ingest_of_broken_columns_is_a_400_and_of_too_many_a_413(gateway: Gateway) -> None:
    assert post(gateway, b"PXT1\0\2{}PXC1junk")[0] == 400
    too_many = post(gateway, binaryframe.dump(TOO_MANY, source_id="rig-01"))
    assert too_many == (413, {"error": "points must be at most 100000 a message"})


def test_a_key_for_another_source_may_not_send_columns(gateway: Gateway) -> None:
    key = make_key(gateway, "write", source_id="rig-02")
    message = binaryframe.dump(_body(Block("m", [10**18], [1])), source_id="rig-01")
    assert post(gateway, message, key=key)[0] == 403
    assert stored(gateway) == []


def test_a_socket_takes_columns_and_acknowledges_them(gateway: Gateway) -> None:
    with device(gateway, "rig-01", ext={"batch": 1, "columnar": 1}) as wire:
        assert wire.authenticated["ext"] == {"batch": 1, "columnar": 1}
        wire.connection.send(binaryframe.dump(_body(Block("m", [10**18], [2.5])), batch=NAME))
        assert wire.hear() == {"type": "batch_ack", "stream": STREAM, "upto": 1}
    assert stored(gateway) == [2.5]


def test_a_socket_refuses_too_many_columns_under_their_name(gateway: Gateway) -> None:
    with device(gateway, "rig-01", ext={"batch": 1, "columnar": 1}) as wire:
        wire.connection.send(binaryframe.dump(TOO_MANY, batch=NAME))
        error = wire.hear()
    assert (error["code"], error["batch"]) == (frames.MALFORMED, {"stream": STREAM, "n": 1})


def _body(*some: Block) -> bytes:
    return columnar.write_body(some, columnar.PLAIN)


def _relisted(body: bytes, told: bytes) -> bytes:
    """The body of one small section with another listing of its series."""
    head, packed = body[:5], body[7:]
    start = packed.index(b'{"m"')
    packed = packed[: start - 1] + bytes([len(told)]) + told + packed[start + packed[start - 1] :]
    return head + bytes([len(packed)] * 2) + packed
