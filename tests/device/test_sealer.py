"""Sealing: what is in a batch never changes from here on, so it has to be right."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.device.counters import Counters
from plexus.device.fitting import decoded
from plexus.device.intake import SERIES_AT_ONCE, Samples, Taken
from plexus.device.sealer import MAX_BODY_BYTES, MAX_POINT_BYTES, SEAL_BYTES, SEAL_POINTS, Sealer, resealed
from plexus.domain.loss import Loss
from plexus.domain.point import Reading
from plexus.domain.values import Value
from plexus.protocol.batch import Batch, Unsynced, digest_of
from plexus.protocol.extensions import ANY_METRIC, COLUMNAR, GAPS, NON_FINITE, PRECISION, Features
from plexus.testing.contracts.codec import Row, rows_of, same

START_MS = 1_700_000_000_000.0
START_NS = int(START_MS) * 1_000_000
OF_JSON = frozenset({ANY_METRIC, NON_FINITE, PRECISION})
OF_COLUMNS = OF_JSON | {COLUMNAR}
OLD: Features = frozenset()


class Bench:
    def __init__(self, *, synced: bool = True) -> None:
        self.clock = ManualClock(wall_ms=START_MS, tick=5_000_000_000, synced=synced)
        self.counters = Counters()
        self.codecs = (JsonCodec(), ColumnarCodec())
        self.names = iter(f"{number:032x}" for number in range(1, 100))
        self.sealer = Sealer(self.codecs[0], self.clock, self.counters, lambda: next(self.names), self.codecs[1])

    def reading(self, value: Value, t_ns: int | None = None) -> Reading:
        return ("m", value, t_ns, None, "metric", None, self.clock.tick())

    def seal(
        self, values: Sequence[Value], features: Features | None = OF_JSON, *, t_ns: int | None = None
    ) -> list[Batch]:
        return self.sealer.seal(Taken([self.reading(value, t_ns) for value in values]), features)

    def samples(self, count: int, *, step: int = 100_000, **changes: Any) -> Samples:
        times = range(-(count - 1) * step, step, step)
        made = Samples("vib.x", array("d", range(count)), times[:count], True, None, None, self.clock.tick())
        return attrs.evolve(made, **changes)

    def rows(self, batches: Sequence[Batch]) -> list[Row]:
        return [row for batch in batches for row in rows_of(decoded(batch.body, self.codecs)[1])]

    def values(self, batches: Sequence[Batch]) -> list[Value]:
        return [row[2] for row in self.rows(batches)]

    def times(self, batches: Sequence[Batch]) -> list[int]:
        return [row[1] for row in self.rows(batches)]


def test_batches_are_numbered_from_one_in_their_stream() -> None:
    bench = Bench()
    batches = bench.seal([1]) + bench.seal([2])
    assert [(batch.stream, batch.n) for batch in batches] == [(f"{1:032x}", 1), (f"{1:032x}", 2)]
    bench.sealer.renew()
    assert [(batch.stream, batch.n) for batch in bench.seal([3])] == [(f"{2:032x}", 1)]


def test_a_stream_that_was_not_used_needs_no_successor() -> None:
    bench = Bench()
    bench.sealer.renew()
    assert bench.sealer.stream == f"{1:032x}"


def test_a_batch_tells_its_count_its_times_and_its_digest() -> None:
    bench = Bench()
    first = bench.clock.tick()
    bench.clock.advance(2.5)
    readings: list[Reading] = [("m", 1, None, None, "metric", None, tick) for tick in (bench.clock.tick(), first)]
    (batch,) = bench.sealer.seal(Taken(readings), OF_JSON)
    assert (batch.count, batch.digest) == (2, digest_of(batch.body))
    assert (batch.first_ms, batch.last_ms) == (START_MS, START_MS + 2_500.0)


@pytest.mark.parametrize(
    ("value", "needed"),
    [(1, set()), (1.5, set()), ("x", {ANY_METRIC}), (True, {ANY_METRIC}), (float("nan"), {NON_FINITE})],
)
def test_a_batch_tells_which_extensions_it_needs(value: Value, needed: set[str]) -> None:
    (batch,) = Bench().seal([value], t_ns=START_NS)
    assert batch.needs == needed
    (compact,) = Bench().seal([value], OF_COLUMNS, t_ns=START_NS)
    assert compact.needs == needed | {COLUMNAR}


def test_stamps_are_whole_milliseconds_where_nothing_finer_can_travel() -> None:
    bench = Bench()
    bench.clock.advance(0.000_4)
    fine, whole = bench.seal([1]), bench.seal([1], OLD)
    assert fine[0].needs == {PRECISION}
    assert whole[0].needs == OLD
    assert bench.times(fine) == [START_NS + 400_000]
    assert bench.times(whole) == [START_NS]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=30), st.sampled_from([OF_JSON, OF_COLUMNS, OLD, None]))
def test_stamps_are_as_far_apart_as_ticks_whatever_batch_they_are_in(
    gaps: list[int], features: Features | None
) -> None:
    bench = Bench()
    unit = 10**6 if features == OLD else 1_000
    batches, exact, tick = [], [], bench.clock.tick()
    for gap in gaps:
        tick += gap
        exact.append(START_NS + tick - bench.clock.tick())
        batches += bench.sealer.seal(Taken([("m", 1, None, None, "metric", None, tick)]), features)
    stamps = bench.times(batches)
    assert stamps == sorted(stamps)
    assert all(stamp % unit == 0 for stamp in stamps)
    # The clock itself is a float of milliseconds, good to a quarter of a microsecond.
    assert all(abs(stamp - at) <= unit // 2 + 1_000 for stamp, at in zip(stamps, exact, strict=True))


def test_one_look_at_the_clock_serves_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    looks: list[int] = []

    def wall_ms(tick: int) -> float:
        looks.append(tick)
        return START_MS

    monkeypatch.setattr(bench.clock, "wall_ms", wall_ms)
    bench.seal([1] * 500)
    assert len(looks) == 1


def test_stamps_that_the_caller_gave_are_kept_among_those_made_here() -> None:
    bench = Bench()
    readings = [bench.reading(1, 123_456), bench.reading(2), bench.reading(3, START_NS + 999)]
    assert bench.times(bench.sealer.seal(Taken(readings), OF_COLUMNS)) == [123_456, START_NS, START_NS + 999]


_reading = st.tuples(
    st.sampled_from(["a", "b", "c.d"]),
    st.one_of(st.floats(), st.integers(-(2**63), 2**64 - 1), st.booleans(), st.text('ab"ä,n', max_size=4)),
    st.none() | st.integers(0, 10**9).map(lambda us: START_NS + us * 1_000),
    st.none() | st.dictionaries(st.sampled_from("kl"), st.text("xy", max_size=2), min_size=1),
    st.sampled_from(["metric", "event"]),
    st.sampled_from([None, "run-1", "run-2"]),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(_reading, min_size=1, max_size=12), st.sampled_from([OF_JSON, OF_COLUMNS, None]))
def test_what_was_sealed_is_what_was_sent(sent: list[tuple[object, ...]], features: Features | None) -> None:
    bench = Bench()
    readings: list[Reading] = [(*each, bench.clock.tick()) for each in sent]  # type: ignore[misc]
    batches = bench.sealer.seal(Taken(readings), features)
    expected = [
        (metric, START_NS if t_ns is None else t_ns, value, name == "event", tags, run_id)
        for metric, value, t_ns, tags, name, run_id, _tick in readings
    ]
    assert same(bench.rows(batches), expected)


def test_how_many_readings_make_a_batch_is_learnt_from_their_size() -> None:
    bench = Bench()
    bench.seal(["x" * 1_000] * 10)
    assert bench.sealer.chunk == pytest.approx(SEAL_BYTES / 1_080, rel=0.05)
    bench.seal([1] * 10)
    assert SEAL_POINTS / 2 < bench.sealer.chunk <= SEAL_POINTS
    bench.seal([1] * 1_000, OF_COLUMNS)
    assert bench.sealer.chunk == SEAL_POINTS
    bench.seal(["x" * 100_000])
    assert bench.sealer.chunk == 1


def test_a_body_that_is_too_large_becomes_several_in_order() -> None:
    bench = Bench()
    values: list[Value] = [f"{i}" + "x" * 50_000 for i in range(20)]
    batches = bench.seal(values)
    assert len(batches) > 1
    assert all(len(batch.body) <= MAX_BODY_BYTES for batch in batches)
    assert [batch.n for batch in batches] == list(range(1, len(batches) + 1))
    assert bench.values(batches) == values


@pytest.mark.parametrize("features", [OF_JSON, OF_COLUMNS])
def test_what_cannot_be_encoded_is_counted_by_reason_and_the_rest_is_sealed(features: Features) -> None:
    bench = Bench()
    batches = bench.seal([1, [float("inf")], "\ud800", "y" * 1_100_000, 2], features)
    assert bench.values(batches) == [1, 2]
    assert bench.counters.dropped() == {"non_finite": 1, "unreadable": 1, "too_large": 1}


def test_a_point_that_cannot_be_encoded_is_dropped_with_its_time() -> None:
    bench = Bench()
    bench.seal([1, [float("inf")]], t_ns=START_NS + 2_000_000)
    assert bench.counters.take_unrecorded() == [Loss("non_finite", 1, START_MS + 2, START_MS + 2)]


def test_nothing_to_seal_makes_no_batch_and_uses_no_number() -> None:
    bench = Bench()
    assert bench.seal([[float("nan")]]) == []
    assert bench.seal([1])[0].n == 1


def test_a_forked_batch_gets_a_name_that_follows_from_the_old_one_and_its_content() -> None:
    bench = Bench()
    first, second = bench.seal([1])[0], bench.seal([2])[0]
    again = resealed(first)
    assert (again.n, again.body, again.digest, again.count) == (1, first.body, first.digest, 1)
    assert again.stream not in (first.stream, resealed(second).stream)
    assert len(again.stream) == 32
    assert resealed(first).stream == again.stream


# --- which codec ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("features", "is_json"), [(OF_JSON, True), (OLD, True), (OF_COLUMNS, False), (None, False)])
def test_the_codec_is_the_one_that_suits_the_link(features: Features | None, is_json: bool) -> None:
    (batch,) = Bench().seal([1], features)
    assert batch.body.startswith(b"[") == is_json
    assert (COLUMNAR not in batch.needs) == is_json


def test_without_a_compact_codec_everything_is_json() -> None:
    sealer = Sealer(JsonCodec(), ManualClock(), Counters(), lambda: "0" * 32)
    (batch,) = sealer.seal(Taken([("m", 1, None, None, "metric", None, 0)]), None)
    assert batch.body.startswith(b"[")


@pytest.mark.parametrize(
    "values",
    [["x" * 4_000] * 1_000, [{"k": ["text"] * 300}] * 1_000, [1.5, "ä" * 3_000] * 300],
    ids=["texts", "objects", "mixed"],
)
def test_what_is_sealed_compactly_fits_a_message_as_json(values: list[Value]) -> None:
    bench = Bench()
    batches = bench.seal(values, None)
    assert bench.values(batches) == values
    for batch in batches:
        assert len(JsonCodec().encode(decoded(batch.body, bench.codecs)[1])) <= MAX_POINT_BYTES


# --- high-rate blocks ----------------------------------------------------------------------------------------


def test_blocks_of_a_series_go_together_where_the_link_is_columnar() -> None:
    bench = Bench()
    taken = Taken([], [bench.samples(1_000) for _ in range(5)])
    (batch,) = bench.sealer.seal(taken, OF_COLUMNS)
    assert batch.count == 5_000
    assert bench.values([batch]) == [float(i) for i in range(1_000)] * 5


def test_a_block_is_divided_to_the_ordinary_size_on_a_json_link() -> None:
    bench = Bench()
    batches = bench.sealer.seal(Taken([], [bench.samples(2_500)]), OF_JSON)
    assert [batch.count for batch in batches] == [1_000, 1_000, 500]
    assert bench.values(batches) == [float(i) for i in range(2_500)]


def test_the_last_sample_of_a_block_without_times_was_taken_at_the_call() -> None:
    bench = Bench()
    for features in (OF_JSON, OF_COLUMNS):
        batches = bench.sealer.seal(Taken([], [bench.samples(4)]), features)
        assert bench.times(batches) == [START_NS - 300_000, START_NS - 200_000, START_NS - 100_000, START_NS]
        assert (batches[0].first_ms, batches[0].last_ms) == (START_MS - 0.3, START_MS)


def test_made_times_of_a_block_are_whole_milliseconds_where_nothing_finer_can_travel() -> None:
    bench = Bench()
    batches = bench.sealer.seal(Taken([], [bench.samples(4, step=600_000)]), OLD)
    assert batches[0].needs == OLD
    assert bench.times(batches) == [START_NS - ms * 1_000_000 for ms in (2, 1, 1, 0)]


def test_times_of_a_block_that_the_caller_gave_are_kept() -> None:
    bench = Bench()
    times = array("q", [START_NS, START_NS + 1_000, START_NS + 5_000])
    block = bench.samples(3, t_ns=times, is_made=False, tags={"axis": "x"}, run_id="run-1")
    batches = bench.sealer.seal(Taken([], [block]), OF_COLUMNS)
    assert bench.rows(batches)[1] == ("vib.x", START_NS + 1_000, 1.0, False, {"axis": "x"}, "run-1")
    assert bench.times(batches) == times.tolist()


def test_readings_and_blocks_are_sealed_apart_and_readings_teach_the_size() -> None:
    bench = Bench()
    taken = Taken([bench.reading("x" * 1_000)] * 10, [bench.samples(1_000)])
    assert [batch.count for batch in bench.sealer.seal(taken, OF_JSON)] == [10, 1_000]
    assert bench.sealer.chunk == pytest.approx(SEAL_BYTES / 1_080, rel=0.05)


def test_blocks_with_long_names_go_in_batches_that_fit_a_message_as_json() -> None:
    bench = Bench()
    taken = Taken([], [bench.samples(SERIES_AT_ONCE, metric="vib." + "x" * 400)])
    batches = bench.sealer.seal(taken, None)
    assert sum(batch.count for batch in batches) == SERIES_AT_ONCE
    for batch in batches:
        assert len(JsonCodec().encode(decoded(batch.body, bench.codecs)[1])) <= MAX_POINT_BYTES


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=8), st.sampled_from([OF_JSON, OF_COLUMNS, None]))
def test_no_sample_is_lost_and_none_is_out_of_order(sizes: list[int], features: Features | None) -> None:
    bench = Bench()
    batches = bench.sealer.seal(Taken([], [bench.samples(size) for size in sizes]), features)
    assert bench.values(batches) == [float(i) for size in sizes for i in range(size)]
    assert all(batch.count <= SERIES_AT_ONCE for batch in batches)
    assert [batch.n for batch in batches] == list(range(1, len(batches) + 1))


# --- before the clock was told -------------------------------------------------------------------------------


def test_stamps_made_before_the_clock_was_told_are_marked() -> None:
    bench = Bench(synced=False)
    (batch,) = bench.seal([1, 2])
    assert batch.unsynced == Unsynced("by-hand", START_MS - 5_000.0, None)


def test_only_stamps_that_were_made_here_are_marked() -> None:
    bench = Bench(synced=False)
    readings = [bench.reading(i, START_NS if i % 3 else None) for i in range(10)]
    (batch,) = bench.sealer.seal(Taken(readings), OF_JSON)
    assert batch.unsynced is not None
    assert batch.unsynced.made == bytes([0b0100_1001, 0b10])


def test_stamps_of_the_caller_and_those_of_a_clock_that_was_told_need_no_mark() -> None:
    assert Bench(synced=False).seal([1], t_ns=START_NS)[0].unsynced is None
    assert Bench().seal([1])[0].unsynced is None


def test_a_body_that_becomes_two_has_its_marks_divided() -> None:
    bench = Bench(synced=False)
    readings = [bench.reading("x" * 90_000, None if i < 2 else START_NS) for i in range(8)]
    batches = bench.sealer.seal(Taken(readings), OF_JSON)
    assert [batch.unsynced.made if batch.unsynced else None for batch in batches] == [b"\x03", None]


# --- declared losses -----------------------------------------------------------------------------------------


def test_a_declaration_is_a_batch_without_points_in_a_stream_of_its_own() -> None:
    bench = Bench()
    losses = [Loss("buffer_full", 7, 1_000.0, 2_000.0), Loss("refused", 1)]
    batch = bench.sealer.declare(losses)
    assert (batch.n, batch.count, batch.body, batch.needs) == (1, 0, b"[]", frozenset({GAPS}))
    assert (batch.losses, batch.first_ms, batch.last_ms) == (tuple(losses), 1_000.0, 2_000.0)
    assert batch.stream not in (bench.sealer.stream, bench.sealer.declare(losses).stream)


def test_declarations_of_other_losses_have_other_digests() -> None:
    bench = Bench()
    assert bench.sealer.declare([Loss("refused", 1)]).digest != bench.sealer.declare([Loss("refused", 2)]).digest


def test_a_declaration_takes_no_number_of_the_stream_that_is_sealed() -> None:
    bench = Bench()
    bench.sealer.declare([Loss("refused", 1)])
    assert bench.seal([1])[0].n == 1
