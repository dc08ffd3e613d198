"""Sealing: what is in a batch never changes from here on, so it has to be right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from plexus.adapters.codec.json import JsonCodec
from plexus.device.counters import Counters
from plexus.device.fitting import Fitter
from plexus.device.sealer import MAX_BODY_BYTES, SEAL_BYTES, SEAL_POINTS, Sealer, resealed
from plexus.domain.errors import ProtocolError
from plexus.domain.point import Reading, Row
from plexus.domain.values import Value
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.extensions import ANY_METRIC, NON_FINITE, PRECISION
from tests.support.peer import START_MS, HandClock


class Bench:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.counters = Counters()
        self.codec = JsonCodec()
        self.names = iter(f"{number:032x}" for number in range(1, 100))
        self.sealer = Sealer(self.codec, self.clock, self.counters, lambda: next(self.names))

    def seal(self, values: Sequence[Value], *, precise: bool = True, at_ms: float | None = None) -> list[Batch]:
        readings: list[Reading] = [("m", value, at_ms, None, "metric", None, self.clock.tick()) for value in values]
        return self.sealer.seal(readings, precise=precise)

    def values(self, batches: Sequence[Batch]) -> list[Value]:
        return [row[1] for batch in batches for row in self.codec.decode(batch.body)]


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
    (batch,) = bench.sealer.seal(readings, precise=True)
    assert (batch.count, batch.digest) == (2, digest_of(batch.body))
    assert (batch.first_ms, batch.last_ms) == (START_MS + 1_000.0, START_MS + 3_500.0)


@pytest.mark.parametrize(
    ("value", "needed"),
    [(1, set()), (1.5, set()), ("x", {ANY_METRIC}), (True, {ANY_METRIC}), (float("nan"), {NON_FINITE})],
)
def test_a_batch_tells_which_extensions_it_needs(value: Value, needed: set[str]) -> None:
    (batch,) = Bench().seal([value], at_ms=1_746_969_660_000)
    assert batch.needs == needed


def test_stamps_are_whole_milliseconds_where_nothing_finer_can_travel() -> None:
    bench = Bench()
    bench.clock.advance(0.000_4)
    (fine,), (whole,) = bench.seal([1]), bench.seal([1], precise=False)
    assert fine.needs == {PRECISION}
    assert whole.needs == set()
    assert fine.first_ms == pytest.approx(whole.first_ms + 0.4)


def test_how_many_readings_make_a_batch_is_learnt_from_their_size() -> None:
    bench = Bench()
    bench.seal(["x" * 1_000] * 10)
    assert bench.sealer.chunk == pytest.approx(SEAL_BYTES / 1_080, rel=0.05)
    bench.seal([1] * 10)
    assert SEAL_POINTS / 2 < bench.sealer.chunk <= SEAL_POINTS
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


def test_what_cannot_be_encoded_is_counted_by_reason_and_the_rest_is_sealed() -> None:
    bench = Bench()
    batches = bench.seal([1, [float("inf")], "\ud800", "y" * 1_100_000, 2])
    assert bench.values(batches) == [1, 2]
    assert bench.counters.dropped() == {"non_finite": 1, "unreadable": 1, "too_large": 1}


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


def test_a_batch_goes_as_it_is_to_a_gateway_that_has_all_it_needs() -> None:
    bench = Bench()
    (batch,) = bench.seal(["x"])
    fitted = Fitter(bench.codec, JsonCodec()).fitted(batch, frozenset({ANY_METRIC, PRECISION}))
    assert fitted.body is batch.body


def test_a_batch_of_another_codec_is_written_anew_for_the_wire() -> None:
    class Reversed(JsonCodec):
        """Bytes of its own."""

        name = "reversed"

        def encode(self, rows: Sequence[Row]) -> bytes:
            return super().encode(rows)[::-1]

        def decode(self, body: bytes) -> list[Row]:
            return super().decode(body[::-1])

    codec, wire = Reversed(), JsonCodec()
    body = codec.encode([("m", 1, 1_746_969_660_000, None, "metric", None)])
    batch = Batch("5" * 32, 1, 1, body, digest_of(body))
    assert wire.decode(Fitter(codec, wire).fitted(batch, frozenset()).body)[0][:2] == ("m", 1)


def test_a_batch_that_an_earlier_process_sealed_for_the_wire_is_read_too() -> None:
    class Other(JsonCodec):
        """Reads nothing but its own."""

        name = "other"

        def decode(self, body: bytes) -> list[Row]:
            raise ProtocolError("not mine")

    (batch,) = Bench().seal([1])
    assert Fitter(Other(), JsonCodec()).fitted(batch, frozenset()).count == 1


def test_a_batch_that_nobody_can_read_is_a_protocol_error() -> None:
    batch = Batch("5" * 32, 1, 1, b"\x00", "d", frozenset({NON_FINITE}))
    with pytest.raises(ProtocolError):
        Fitter(JsonCodec(), JsonCodec()).fitted(batch, frozenset())
