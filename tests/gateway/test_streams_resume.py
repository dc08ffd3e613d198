"""The extension `resume`: a reader who comes back with a cursor misses nothing and sees nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.gateway.streams import reading
from plexus.ports.store import Selection, Store
from tests.gateway.livewires import EVENTS, House, quiet, until


@pytest.fixture(params=["memory", "embedded"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else EmbeddedStore(tmp_path / "data")
    yield made
    made.close()


def check(store: Store, steps: Callable[[House], Awaitable[None]], **arguments: int) -> None:
    async def run() -> None:
        house = House(store, **arguments)
        try:
            await steps(house)
        finally:
            await house.core.channels.close()

    asyncio.run(run())


def test_a_reader_that_knows_cursors_is_told_from_where_on_it_sees_everything(store: Store) -> None:
    async def steps(house: House) -> None:
        house.commit(1)
        offered, asked, plain = house.connect(ext={"resume": 1}), house.connect("cursor="), house.connect()
        await quiet()
        house.commit(2)
        await quiet()
        for wire in (offered, asked):
            assert [frame["type"] for frame in wire.frames] == ["ready", "telemetry"]
            assert wire.frames[0]["ext"] == {"resume": 1}
            assert "resumed" not in wire.frames[0]
        assert [frame["type"] for frame in plain.frames] == ["telemetry"]
        for wire in (offered, asked, plain):
            await wire.leave()

    check(store, steps)


def test_the_first_cursor_is_as_good_as_any(store: Store) -> None:
    async def steps(house: House) -> None:
        first = house.connect("cursor=")
        await quiet()
        await first.leave()
        house.commit(1)
        second = house.connect(f"cursor={first.cursor}")
        await until(lambda: second.values)
        assert second.frames[0]["resumed"] is True
        assert second.values == [1]
        await second.leave()

    check(store, steps)


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_reader_goes_on_right_after_its_cursor(store: Store, *, restarted: bool, prepared: bool) -> None:
    async def steps(house: House) -> None:
        first = house.connect(prepared=prepared)
        await quiet()
        house.commit(1)
        await quiet()
        await first.leave()
        house.commit(2)
        house.commit(20, source_id="rig-02")
        house.commit(30, org="umbrella")
        if restarted:
            await house.restart()
        house.commit(3)
        second = house.connect(f"cursor={first.cursor}", prepared=prepared)
        await until(lambda: len(second.values) == 2)
        house.commit(4)
        await until(lambda: len(second.values) == 3)
        assert second.values == [2, 3, 4]
        assert (replays(house, "answered") > 0) == restarted  # else the channel keeps it
        assert second.frames[0]["type"] == "ready"
        assert second.frames[0]["resumed"] is True
        await second.leave()

    check(store, steps)


def test_who_comes_back_is_not_told_what_was_removed_meanwhile(store: Store) -> None:
    async def steps(house: House) -> None:
        first = house.connect()
        await quiet()
        house.commit(1)
        await quiet()
        await first.leave()
        house.commit(2)
        await quiet()
        store.remove("default", Selection(["rig-01"], ["m"]))
        house.core.channels.let_go("default", "rig-01")
        second = house.connect(f"cursor={first.cursor}")
        await until(lambda: second.frames)
        house.commit(3)
        await until(lambda: second.values)
        assert second.values == [3]
        await second.leave()

    check(store, steps)


def rename(house: House, new: str = "left-arm") -> None:
    """As `moving` does it."""
    house.core.channels.moved("default", "rig-01", new)
    house.store.rename("default", "rig-01", new)


RENAMED = "/v1/sources/left-arm/metrics/stream"


@pytest.mark.parametrize("waited_for", [True, False], ids=["new name is read already", "new name is read by nobody"])
def test_a_cursor_from_before_a_rename_goes_on_under_the_new_name(store: Store, *, waited_for: bool) -> None:
    async def steps(house: House) -> None:
        early = house.connect(path=RENAMED) if waited_for else None
        first = house.connect()
        await quiet()
        house.commit(1)
        await quiet()
        await first.leave()
        house.commit(2)
        house.commit(3)
        await quiet()
        rename(house)
        house.commit(4, source_id="left-arm")
        second = house.connect(f"cursor={first.cursor}", RENAMED)
        await until(lambda: len(second.values) >= 3)
        assert second.frames[0]["resumed"] is True
        assert second.values == [2, 3, 4]
        await second.leave()
        if early is not None:
            assert early.values == [4]
            await early.leave()

    check(store, steps)


def test_a_cursor_from_before_a_rename_is_said_to_be_worth_nothing_under_the_old_name(store: Store) -> None:
    async def steps(house: House) -> None:
        first = house.connect()
        await quiet()
        house.commit(1)
        await quiet()
        await first.leave()
        house.commit(2)
        await quiet()
        rename(house)
        second = house.connect(f"cursor={first.cursor}")
        await until(lambda: second.frames)
        assert second.frames[0]["resumed"] is False
        assert "another name" in second.frames[0]["reason"]
        house.commit(3)
        await until(lambda: second.values)
        assert second.values == [3]
        await second.leave()

    check(store, steps)


def test_a_name_that_is_moving_is_not_read(store: Store) -> None:
    async def steps(house: House) -> None:
        house.core.moving.places.add(("default", "rig-01"))
        wire = house.connect("cursor=")
        await wire.end()
        assert (wire.closed, wire.frames) == (1013, [])

    check(store, steps)


def test_a_reader_that_left_inside_of_a_commit_gets_the_rest_of_it(store: Store) -> None:
    async def steps(house: House) -> None:
        first = house.connect(path=EVENTS)
        await quiet()
        house.commit(*"abc", is_event=True)
        await quiet()
        await first.leave()
        middle = first.frames[1]["cursor"]
        for _ in range(2):
            second = house.connect(f"cursor={middle}", path=EVENTS)
            await until(lambda wire=second: wire.values)
            assert second.values == ["c"]
            await second.leave()
            await house.restart()

    check(store, steps)


@pytest.mark.parametrize("cursor", ["nonsense", "0-1-0", "{log}-999-0"])
def test_a_cursor_of_nothing_is_said_to_be_and_the_stream_begins_now(cursor: str) -> None:
    async def steps(house: House) -> None:
        house.commit(1)
        wire = house.connect("cursor=" + cursor.format(log=house.core.channels.log))
        await quiet()
        house.commit(2)
        await quiet()
        ready = wire.frames[0]
        assert (ready["resumed"], ready["since"]) == (False, 1_746_969_660_000)
        assert "none of this gateway's" in ready["reason"]
        assert wire.values == [2]
        await wire.leave()

    check(MemoryStore(), steps)


def replays(house: House, outcome: str) -> float:
    return house.core.meters.registry.get_sample_value("plexus_replays_total", {"outcome": outcome}) or 0.0


class Forgetful(MemoryStore):
    """Keeps no order of what was committed before `first`."""

    first = 1
    failing = False

    def replay(self, org: str, source_id: str, first: int, max_points: int):  # type: ignore[no-untyped-def]
        if self.failing:
            raise StoreError("journal.db cannot be read")
        return None if first < self.first else super().replay(org, source_id, first, 1)


def test_a_cursor_that_is_too_old_is_said_to_be() -> None:
    store = Forgetful()

    async def steps(house: House) -> None:
        first = house.connect("cursor=")
        await quiet()
        await first.leave()
        house.commit(1)
        await house.restart()
        store.first = 2
        wire = house.connect(f"cursor={first.cursor}")
        await until(lambda: wire.frames)
        house.commit(2)
        await until(lambda: wire.values)
        assert wire.frames[0]["resumed"] is False
        assert "no longer kept" in wire.frames[0]["reason"]
        assert wire.values == [2]
        assert replays(house, "not_kept") == 1
        await wire.leave()

    check(store, steps)


def test_a_replay_that_cannot_go_on_closes_with_try_again_later() -> None:
    store = Forgetful()

    async def steps(house: House) -> None:
        first = house.connect("cursor=")
        await quiet()
        await first.leave()
        house.commit(1)
        house.commit(2)
        await house.restart()
        second = house.connect(f"cursor={first.cursor}")
        second.open.clear()
        await quiet()
        store.failing = True
        second.open.set()
        await second.end()
        assert second.closed == 1013
        assert second.values in ([], [1])
        assert replays(house, "failed") == 1

    check(store, steps)


def test_what_is_kept_for_readers_is_bounded_and_the_rest_comes_from_the_store() -> None:
    async def steps(house: House) -> None:
        first = house.connect()
        await quiet()
        house.commit(0)
        await quiet()
        await first.leave()
        for value in range(1, 40):
            house.commit(value)
            await quiet(4)
        second = house.connect(f"cursor={first.cursor}")
        await until(lambda: len(second.values) == 39)
        assert second.values == list(range(1, 40))
        await second.leave()

    check(MemoryStore(), steps, keep_bytes=1_000)


def test_a_reader_that_hears_nothing_for_a_while_is_told_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BOOKMARK_S", 0.01)

    async def steps(house: House) -> None:
        wire, plain = house.connect("cursor=&metrics=other"), house.connect("metrics=other")
        await quiet()
        before = wire.cursor
        house.commit(1)
        house.commit(2, source_id="rig-02")
        await until(lambda: wire.of("cursor"))
        assert wire.cursor != before
        await wire.leave()
        assert not plain.frames
        await plain.leave()
        house.commit(3)
        second = house.connect(f"cursor={wire.cursor}")
        await until(lambda: second.values)
        assert second.values == [3]
        await second.leave()

    check(MemoryStore(), steps)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 4)),
        st.tuples(st.just("other"), st.integers(1, 2)),
        st.tuples(st.sampled_from(["leave", "restart", "slow", "quick", "turn", "expire"]), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, events=st.booleans(), prepared=st.booleans(), keep_bytes=st.sampled_from([0, 400, 1 << 20]))
def test_whatever_happens_a_reader_with_its_cursor_sees_everything_once_in_order(
    *, steps: list[tuple[str, int]], events: bool, prepared: bool, keep_bytes: int
) -> None:
    async def run(house: House) -> None:
        path = EVENTS if events else "/v1/sources/rig-01/metrics/stream"
        wire = house.connect("cursor=", path, prepared=prepared)
        await quiet()
        sent, cursor = 0, wire.cursor
        seen: list[int] = []
        for step, count in steps:
            if step == "commit":
                house.commit(*range(sent, sent + count), is_event=events)
                sent += count
            elif step == "other":
                house.commit(*range(count), source_id="rig-02", is_event=events)
            elif step == "slow":
                wire.open.clear()
            elif step == "quick":
                wire.open.set()
            elif step == "turn":
                await quiet(3)
            else:
                await wire.leave()
                seen += wire.values
                cursor = wire.cursor or cursor
                if step == "restart":
                    await house.restart()
                elif step == "expire":
                    await house.core.channels.close()
                wire = house.connect(f"cursor={cursor}", path, prepared=prepared)
        wire.open.set()
        await until(lambda: len(seen) + len(wire.values) >= sent)
        await quiet()
        assert seen + wire.values == list(range(sent))
        assert not wire.of("missed")
        await wire.leave()

    check(MemoryStore(), run, keep_bytes=keep_bytes)
