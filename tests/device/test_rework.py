"""Batches put together, and taken apart for a person."""

from __future__ import annotations

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.device.fitting import decoded
from plexus.device.rework import MERGED_BYTES, Rework
from plexus.domain.point import Point
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.block import Block, Tags, count_points
from plexus.protocol.extensions import COLUMNAR, NO_FEATURES

START_NS = 1_746_969_660_000_000_000
CODECS: tuple[Codec, Codec] = (JsonCodec(), ColumnarCodec())


def rework() -> Rework:
    return Rework(ManualClock(), *CODECS, lambda: "9" * 32)


def sealed(codec: Codec, first: int, count: int = 3, tags: Tags | None = None) -> Batch:
    times = [START_NS + value * 1_000_000 for value in range(first, first + count)]
    body = codec.encode([Block("m", times, list(range(first, first + count)), tags=tags)])
    needs = NO_FEATURES if codec.name == "json" else frozenset({codec.name})
    return Batch("5" * 32, 1, count, body, digest_of(body), needs, times[0] / 1e6, times[-1] / 1e6)


def values(batch: Batch) -> list[object]:
    return [value for block in decoded(batch.body, CODECS)[1] for value in block.value]


def test_batches_of_either_codec_become_one_of_what_the_link_takes() -> None:
    batches = [sealed(CODECS[0], 0), sealed(CODECS[1], 3)]
    for features, codec in ((NO_FEATURES, CODECS[0]), (frozenset({COLUMNAR}), CODECS[1])):
        whole = rework().merged(batches, features)
        assert whole is not None
        assert values(whole) == [0, 1, 2, 3, 4, 5]
        assert decoded(whole.body, CODECS)[0] is codec
        assert whole.needs <= features


def test_one_batch_of_many_has_a_name_of_its_own_and_the_facts_of_all() -> None:
    whole = rework().merged([sealed(CODECS[0], 0), sealed(CODECS[0], 3)], NO_FEATURES)
    assert whole is not None
    assert (whole.stream, whole.n, whole.count, whole.digest) == ("9" * 32, 1, 6, digest_of(whole.body))
    assert (whole.first_ms, whole.last_ms) == (START_NS / 1e6, START_NS / 1e6 + 5)
    assert count_points(decoded(whole.body, CODECS)[1]) == 6


def test_what_would_be_more_than_a_message_as_json_is_not_put_together() -> None:
    tags = {"where": "x" * 1_000}
    batches = [sealed(CODECS[1], first, 300, tags) for first in (0, 300)]
    assert sum(len(batch.body) for batch in batches) < MERGED_BYTES / 10
    assert rework().merged(batches, frozenset({COLUMNAR})) is None


def test_a_batch_that_cannot_be_read_is_not_put_together() -> None:
    bad = Batch("6" * 32, 1, 1, b"\xff", "d")
    assert rework().merged([sealed(CODECS[0], 0), bad], NO_FEATURES) is None


def test_points_are_told_with_all_that_a_person_wants_to_know() -> None:
    block = Block(["a", "b"], [START_NS, START_NS + 500_000], [1, "x"], [False, True], [None, {"k": "v"}], "run-1")
    body = CODECS[0].encode([block])
    assert rework().points(Batch("5" * 32, 1, 2, body, "d")) == [
        Point("a", 1, START_NS / 1e6, None, "metric", "run-1"),
        Point("b", "x", START_NS / 1e6 + 0.5, {"k": "v"}, "event", "run-1"),
    ]
