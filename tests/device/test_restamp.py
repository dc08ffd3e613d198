"""Stamps from before the clock was told the time are put right once, and only those."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.clock.synced import SyncedClock
from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.device.counters import Counters
from plexus.device.fitting import decoded
from plexus.device.intake import Samples, Taken
from plexus.device.restamp import mask_of, restamped
from plexus.device.sealer import Sealer
from plexus.domain.errors import ProtocolError
from plexus.domain.point import Reading
from plexus.protocol.batch import Batch, Unsynced, digest_of
from plexus.protocol.extensions import COLUMNAR, NO_FEATURES, Features
from plexus.testing.contracts.codec import Row, rows_of

CODECS = (JsonCodec(), ColumnarCodec())
THEN_NS = 1_000_000_000
"""What a clock without a battery says: it is 1970."""
NOW_MS = 1_746_969_660_000.0
NOW_NS = int(NOW_MS) * 1_000_000


class Device:
    """Booted without a time, and told one when a test says so."""

    def __init__(self, boot_id: str = "boot-1") -> None:
        self.machine = ManualClock(wall_ms=THEN_NS / 1e6, tick=7_000, boot_id=boot_id, synced=False)
        self.clock = SyncedClock(self.machine)
        self.sealer = Sealer(CODECS[0], self.clock, Counters(), lambda: "5" * 32, CODECS[1])

    def seal(self, *readings: Reading, features: Features | None = None, series: tuple[Samples, ...] = ()) -> Batch:
        (batch,) = self.sealer.seal(Taken(list(readings), series), features)
        return batch

    def reading(self, value: float = 1, t_ns: int | None = None, tags: dict[str, str] | None = None) -> Reading:
        return ("m", value, t_ns, tags, "metric", None, self.clock.tick())

    def is_told(self) -> None:
        self.clock.correct(self.clock.tick(), NOW_MS)


def rows(batch: Batch) -> list[Row]:
    return rows_of(decoded(batch.body, CODECS)[1])


def times(batch: Batch) -> list[int]:
    return [row[1] for row in rows(batch)]


@pytest.mark.parametrize("features", [NO_FEATURES, None], ids=["json", "columnar"])
def test_made_stamps_of_this_boot_move_to_the_time_that_was_told(features: Features | None) -> None:
    device = Device()
    early = device.reading(1)
    device.machine.advance(2.5)
    batch = device.seal(early, device.reading(2), features=features)
    assert times(batch) == [THEN_NS, THEN_NS + 2_500_000_000]
    device.is_told()
    right = restamped(batch, device.clock, CODECS)
    assert times(right) == [NOW_NS - 2_500_000_000, NOW_NS]
    assert (right.first_ms, right.last_ms) == (NOW_MS - 2_500, NOW_MS)


def test_the_batch_keeps_its_name_and_gets_the_digest_of_what_it_says_now() -> None:
    device = Device()
    batch = device.seal(device.reading())
    device.is_told()
    right = restamped(batch, device.clock, CODECS)
    assert (right.stream, right.n, right.count, right.unsynced) == (batch.stream, batch.n, 1, None)
    assert right.digest == digest_of(right.body) != batch.digest


def test_doing_it_again_changes_nothing() -> None:
    device = Device()
    batch = device.seal(device.reading())
    device.is_told()
    right = restamped(batch, device.clock, CODECS)
    assert restamped(right, device.clock, CODECS) is right


def test_stamps_of_the_caller_are_never_touched() -> None:
    device = Device()
    batch = device.seal(device.reading(1, THEN_NS + 5), device.reading(2), device.reading(3, 77))
    device.is_told()
    assert times(restamped(batch, device.clock, CODECS)) == [THEN_NS + 5, NOW_NS, 77]


def test_a_high_rate_block_is_moved_as_a_whole() -> None:
    device = Device()
    block = Samples("mic", array("h", [1, 2, 3]), range(-2_000, 1_000, 1_000), True, None, None, device.clock.tick())
    batch = device.seal(series=(block,))
    device.is_told()
    right = restamped(batch, device.clock, CODECS)
    assert times(right) == [NOW_NS - 2_000, NOW_NS - 1_000, NOW_NS]
    assert len(right.body) < 100


def test_what_it_needs_is_told_anew() -> None:
    device = Device()
    batch = device.seal(device.reading())
    device.clock.correct(device.clock.tick(), NOW_MS + 0.25)
    assert "precision" not in batch.needs
    assert restamped(batch, device.clock, CODECS).needs == {"precision", COLUMNAR}


def test_stamps_of_another_boot_stay_and_are_marked_as_uncertain() -> None:
    before = Device("boot-1")
    batch = before.seal(before.reading(1), before.reading(2, 77), before.reading(3, tags={"axis": "x"}))
    after = Device("boot-2")
    after.is_told()
    right = restamped(batch, after.clock, CODECS)
    assert times(right) == times(batch)
    assert [row[4] for row in rows(right)] == [{"clock": "uncertain"}, None, {"axis": "x", "clock": "uncertain"}]
    assert right.unsynced is None


def test_all_stamps_of_another_boot_are_marked_at_once() -> None:
    before, after = Device("boot-1"), Device("boot-2")
    batch = before.seal(before.reading(1), before.reading(2))
    after.is_told()
    (block,) = decoded(restamped(batch, after.clock, CODECS).body, CODECS)[1]
    assert block.tags == {"clock": "uncertain"}


def test_a_point_without_room_for_a_tag_and_one_with_a_clock_of_its_own_are_not_marked() -> None:
    before, after = Device("boot-1"), Device("boot-2")
    full, own = {f"k{i}": "v" for i in range(16)}, {"clock": "gps"}
    batch = before.seal(before.reading(1, tags=full), before.reading(2, tags=own))
    after.is_told()
    assert [row[4] for row in rows(restamped(batch, after.clock, CODECS))] == [full, own]


def test_where_no_time_was_told_all_stays_as_it_is() -> None:
    device = Device()
    batch = device.seal(device.reading())
    right = restamped(batch, device.clock, CODECS)
    assert (right.body, right.digest, right.unsynced) == (batch.body, batch.digest, None)


def test_a_batch_that_needs_nothing_is_not_even_read() -> None:
    device = Device()
    device.is_told()
    batch = Batch("5" * 32, 1, 1, b"whatever", "d")
    assert restamped(batch, device.clock, CODECS) is batch


def test_a_batch_that_nobody_can_read_is_a_protocol_error() -> None:
    device = Device()
    device.is_told()
    batch = Batch("5" * 32, 1, 1, b"whatever", "d", unsynced=Unsynced("boot-1", 0.0))
    with pytest.raises(ProtocolError):
        restamped(batch, device.clock, CODECS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.sampled_from([NO_FEATURES, None]))
def test_only_what_is_marked_is_moved_wherever_it_stands(made: list[bool], features: Features | None) -> None:
    device = Device()
    batch = device.seal(*(device.reading(i, None if own else 77_000) for i, own in enumerate(made)), features=features)
    device.is_told()
    assert times(restamped(batch, device.clock, CODECS)) == [NOW_NS if own else 77_000 for own in made]


def test_a_mask_has_a_bit_for_each_point_and_is_nothing_when_all_are_meant() -> None:
    assert mask_of([True] * 9) is None
    assert mask_of([True, False, False, True] + [False] * 5 + [True]) == bytes([0b1001, 0b10])
