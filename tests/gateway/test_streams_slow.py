"""Slow readers: what goes, who is told, and that nobody else waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from plexus.adapters.bus import memory
from plexus.adapters.store.memory import MemoryStore
from plexus.gateway.streams import channels
from plexus.gateway.streams.rendering import Renderer
from tests.gateway.livewires import EVENTS, METRICS, Connection, House, quiet, until


def check(steps: Callable[[House], Awaitable[None]], **arguments: int) -> None:
    async def run() -> None:
        house = House(MemoryStore(), **arguments)
        try:
            await steps(house)
        finally:
            await house.core.channels.close()

    asyncio.run(run())


def metered(house: House, name: str, kind: str) -> Any:
    return house.core.meters.registry.get_sample_value(name, {"kind": kind})


async def fallen_behind(house: House, path: str, *, is_event: bool) -> Connection:
    wire = house.connect(path=path)
    await quiet()
    wire.open.clear()
    for value in range(50):
        house.commit(value, is_event=is_event)
        await quiet(4)
    wire.open.set()
    await quiet()
    return wire


@pytest.mark.parametrize(("path", "kind"), [(METRICS, "metrics"), (EVENTS, "events")])
def test_a_slow_reader_loses_the_oldest_and_is_told_how_many_before_what_comes_next(path: str, kind: str) -> None:
    async def steps(house: House) -> None:
        wire = await fallen_behind(house, path, is_event=kind == "events")
        (missed,) = wire.of("missed")
        assert missed["count"] + len(wire.values) == 50
        at, ahead = wire.frames.index(missed), [frame for frame in wire.frames if "cursor" in frame]
        first = len([frame for frame in wire.frames[:at] if frame in ahead])
        assert wire.values == [*range(first), *range(first + missed["count"], 50)]
        assert metered(house, "plexus_missed_total", kind) == missed["count"]
        await wire.leave()

    check(steps, queue_bytes=1_000)


def test_what_a_slow_reader_missed_is_to_be_had_with_the_cursor_from_before() -> None:
    async def steps(house: House) -> None:
        wire = await fallen_behind(house, METRICS, is_event=False)
        at = wire.frames.index(wire.of("missed")[0])
        before = [frame["cursor"] for frame in wire.frames[:at]]
        seen = len([frame for frame in wire.frames[:at] if frame["type"] == "telemetry"])
        await wire.leave()
        again = house.connect("cursor=" + (before[-1] if before else f"{house.core.channels.log}-1-0"))
        await until(lambda: len(again.values) == 50 - seen)
        assert again.values == list(range(seen, 50))
        await again.leave()

    check(steps, queue_bytes=1_000)


def test_the_newest_frame_stays_however_large_it_is() -> None:
    async def steps(house: House) -> None:
        wire = house.connect()
        await quiet()
        wire.open.clear()
        house.commit(1)
        await quiet()
        house.commit(2)
        house.commit("x" * 5_000, "y")
        await quiet()
        wire.open.set()
        await quiet()
        assert wire.values[-2:] == ["x" * 5_000, "y"]
        await wire.leave()

    check(steps, queue_bytes=1_000)


def test_a_slow_reader_delays_nobody() -> None:
    async def steps(house: House) -> None:
        slow, quick = house.connect(), house.connect()
        await quiet()
        slow.open.clear()
        for value in range(20):
            house.commit(value)
            await quiet(5)
            assert quick.values[-1] == value
        assert not slow.values
        slow.open.set()
        await quiet()
        assert slow.values == list(range(20))
        for wire in (slow, quick):
            await wire.leave()

    check(steps)


def test_others_have_their_turn_while_a_commit_goes_to_many_readers() -> None:
    async def steps(house: House) -> None:
        wires = [house.connect() for _ in range(channels.SLICE * 3)]
        await quiet(60)
        house.commit(1)
        served: list[int] = []
        while not served or served[-1] < len(wires):
            served.append(sum(1 for wire in wires if wire.values))
            await asyncio.sleep(0)
        assert any(0 < count < len(wires) for count in served)
        for wire in wires:
            await wire.leave()

    check(steps)


def test_what_the_bus_dropped_is_told_to_every_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.MemoryBus.__init__, "__defaults__", (3,))

    async def steps(house: House) -> None:
        wire = house.connect()
        await quiet()
        for value in range(10):
            house.commit(value)
        await quiet()
        assert wire.of("missed")[0]["count"] == 7
        assert wire.values == [7, 8, 9]
        await wire.leave()

    check(steps)


def test_sockets_are_counted_by_kind() -> None:
    async def steps(house: House) -> None:
        wires = [house.connect(), house.connect(), house.connect(path=EVENTS)]
        await quiet()
        assert [metered(house, "plexus_sockets", kind) for kind in ("metrics", "events")] == [2, 1]
        for wire in wires:
            await wire.leave()
        assert [metered(house, "plexus_sockets", kind) for kind in ("metrics", "events")] == [0, 0]

    check(steps)


def test_a_channel_that_fails_ends_its_readers_and_not_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(house: House) -> None:
        wire = house.connect()
        await quiet()
        with monkeypatch.context() as broken:
            broken.setattr(Renderer, "frames", lambda *_args: 1 / 0)
            house.commit(1)
            with pytest.raises(Exception, match="channel of this stream failed"):
                await wire.end()
        again = house.connect()
        await quiet()
        house.commit(2)
        await quiet()
        assert again.values == [2]
        await again.leave()

    check(steps)


def test_a_source_that_nobody_reads_any_more_is_let_go_of_after_a_while() -> None:
    async def steps(house: House) -> None:
        house.core.channels._keep_s = 0.01
        wire = house.connect()
        await quiet()
        await wire.leave()
        assert len(house.core.channels) == 1
        await until(lambda: not len(house.core.channels))

    check(steps)
