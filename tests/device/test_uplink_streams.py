"""Names of batches: order within a stream, gaps, forks, and what a dead process left."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import pytest

from plexus.device import dispatch
from plexus.protocol import device
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.ledger import Draft, StreamState
from tests.support.peer import Gateway
from tests.support.rig import Died, ListBuffer, Rig, connected


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that a few batches fill, so that fresh data meets a backlog that still waits."""
    monkeypatch.setattr(device, "WINDOW_FRAMES", 3)
    monkeypatch.setattr(dispatch, "BACKLOG_FRAMES", 2)


@pytest.mark.usefixtures("narrow")
def test_fresh_data_that_overtakes_a_backlog_after_an_outage_never_shares_its_stream() -> None:
    rig = connected(Rig())
    rig.gateway.break_links()
    rig.gateway.refuse_all()
    for value in range(300):
        if value == 200:
            rig.gateway.refuse_all(None)
        rig.send(value)
        rig.run(0.02)
    rig.run(5.0)
    assert rig.gateway.strays == []
    assert sorted(rig.gateway.values(), key=int) == list(range(300))  # type: ignore[arg-type]


@pytest.mark.usefixtures("narrow")
def test_fresh_data_that_overtakes_what_a_slow_link_left_waiting_never_shares_its_stream() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(200):
        if value == 120:
            rig.gateway.answers = True
        rig.send(value)
        rig.run(0.02)
    rig.run(5.0)
    assert rig.gateway.strays == []
    assert sorted(rig.gateway.values(), key=int) == list(range(200))  # type: ignore[arg-type]


@pytest.mark.usefixtures("narrow")
def test_fresh_data_that_overtakes_what_a_goodbye_interrupted_never_shares_its_stream() -> None:
    rig = connected(Rig(dice=lambda: 0.0))
    rig.gateway.answers = False
    for value in range(60):
        if value == 9:
            rig.gateway.goodbye()
            rig.gateway._unsettled.clear()
        if value == 40:
            rig.gateway.answers = True
        rig.send(value)
        rig.run(0.02)
    rig.run(5.0)
    assert rig.gateway.strays == []
    assert sorted(rig.gateway.values(), key=int) == list(range(60))  # type: ignore[arg-type]


def test_every_batch_names_the_lowest_of_its_stream_that_is_not_acknowledged() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(8):
        rig.send(value)
        rig.run(0.06)
    rig.gateway.answers = True
    rig.run(0.1)
    rig.send(8)
    rig.run(0.1)
    assert [(name.n, name.base) for name in rig.gateway.batches] == [*((n, 1) for n in range(1, 9)), (9, 9)]


def test_a_gap_rewinds_the_stream_and_nothing_is_stored_twice() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    for value in range(4):
        rig.send(value)
        rig.run(0.06)
    rig.gateway.answers, rig.gateway.gaps = True, 2
    rig.run(5.0)
    assert rig.gateway.values() == [0, 1, 2, 3]
    assert rig.uplink.stats().retried == 4


def test_a_fork_goes_on_under_new_names_with_nothing_lost() -> None:
    rig = connected(Rig())
    rig.gateway.answers = False
    rig.send("mine")
    rig.step()
    name = rig.gateway._unsettled[0][1].batch
    assert name is not None
    # A copy of this device used the name for something else.
    other = Draft(StreamState("drone-01"))
    other.judge(attrs.evolve(name, digest="beef"))
    rig.gateway.streams[name.stream] = other.settle()
    rig.gateway.answers = True
    rig.run(1.0)
    assert rig.gateway.values() == ["mine"]
    assert rig.gateway.batches[-1].stream != name.stream
    assert rig.buffer.points == 0


def test_a_fork_that_is_interrupted_by_a_crash_still_stores_once() -> None:
    spool = ListBuffer()
    body = b'[{"class":"metric","metric":"m","value":"mine","timestamp":1746969660000}]'
    batch = Batch("f" * 32, 1, 1, body, digest_of(body))
    gateway = Gateway()
    other = Draft(StreamState("drone-01"))
    other.judge(attrs.evolve(batch.name(1), digest="beef"))
    gateway.streams[batch.stream] = other.settle()
    spool.append([batch])
    rig = Rig(gateway, spool)
    release = spool.release

    def die(batches: Iterable[Batch]) -> None:
        raise Died

    # The new name is durable, the old one is not forgotten yet.
    spool.release = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        rig.run(1.0)
    rig.crash()
    spool.release = release  # type: ignore[method-assign]
    assert len(spool.kept) == 2
    rig = Rig(gateway, spool)
    rig.run(5.0)
    assert gateway.values() == ["mine"]
    assert spool.points == 0


def test_a_spool_of_a_dead_process_is_sent_under_its_own_names() -> None:
    gateway, spool = Gateway(), ListBuffer()
    first = connected(Rig(gateway, spool))
    gateway.answers = False
    first.send(1)
    first.run(0.3)
    names = set(spool.kept)
    # Stored just before the crash, not acknowledged: the next process must not store it again.
    gateway.answers = True
    gateway.pump(first.clock)
    first.crash()
    second = Rig(gateway, spool)
    second.send(2)
    second.run(5.0)
    assert gateway.values() == [1, 2]
    assert gateway.duplicates == 1
    assert {(name.stream, name.n) for name in gateway.batches if (name.stream, name.n) in names} == names
    assert spool.points == 0
