"""What every bus must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from plexus.ports.bus import Bus, Published, Subscription
from plexus.protocol.columns import Columns
from plexus.testing.contracts import Contract

PATIENCE_S = 5.0
"""How long a bus that is right never takes."""


def columns_of(source_id: str, *values: float, metric: str = "m") -> Columns:
    """One point a value, stamped by its position."""
    columns = Columns()
    for index, value in enumerate(values):
        columns.add(source_id, metric, index, is_event=False, value=value, tags={"unit": "V"}, run_id="run-1")
    return columns


class BusContract(Contract):
    """Override `make` to return a fresh bus that holds at most `MAX_POINTS` points for one reader."""

    MAX_POINTS = 10

    def make(self) -> Bus:
        """A fresh bus that holds at most `MAX_POINTS` points for one reader."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its bus")

    def check(self, steps: Callable[[Bus], Awaitable[None]]) -> None:
        """Run one test's steps on an event loop with a fresh bus."""

        async def run() -> None:
            bus = self.make()
            try:
                await steps(bus)
            finally:
                self.dispose(bus)

        asyncio.run(run())

    def test_a_reader_gets_what_is_published_of_its_source_in_order(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            publish(bus, "acme", columns_of("rig-01", 1.0, 2.0))
            publish(bus, "acme", columns_of("rig-01", 3.0))
            assert await values(reader, 3) == [1.0, 2.0, 3.0]

        self.check(steps)

    def test_a_point_arrives_whole(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            sent = columns_of("rig-01", 1.5, metric="motor.rpm")
            publish(bus, "acme", sent)
            assert (await _soon(reader.get())).columns == sent

        self.check(steps)

    def test_a_reader_waits_for_what_comes_later(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            waiting = asyncio.ensure_future(reader.get())
            await asyncio.sleep(0)
            assert not waiting.done()
            publish(bus, "acme", columns_of("rig-01", 1.0))
            assert (await _soon(waiting)).columns.value == [1.0]

        self.check(steps)

    def test_what_was_published_before_is_not_seen(self) -> None:
        async def steps(bus: Bus) -> None:
            publish(bus, "acme", columns_of("rig-01", 1.0))
            reader = bus.subscribe("acme", "rig-01")
            publish(bus, "acme", columns_of("rig-01", 2.0))
            assert await values(reader, 1) == [2.0]

        self.check(steps)

    def test_another_organisation_is_not_seen(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            publish(bus, "umbrella", columns_of("rig-01", 1.0))
            publish(bus, "acme", columns_of("rig-01", 2.0))
            assert await values(reader, 1) == [2.0]

        self.check(steps)

    def test_another_source_is_not_seen_even_in_one_message(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            mixed = columns_of("rig-02", 1.0)
            mixed.extend(columns_of("rig-01", 2.0))
            mixed.extend(columns_of("rig-03", 3.0))
            publish(bus, "acme", mixed)
            assert (await _soon(reader.get())).columns == columns_of("rig-01", 2.0)

        self.check(steps)

    def test_what_a_source_has_in_one_commit_comes_together_under_its_number(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            parts = [("acme", columns_of("rig-01", 1.0)), ("umbrella", columns_of("rig-01", 7.0))]
            bus.publish(4, [*parts, ("acme", columns_of("rig-02", 8.0)), ("acme", columns_of("rig-01", 2.0))])
            bus.publish(9, [("acme", columns_of("rig-01", 3.0))])
            first, second = await _soon(reader.get()), await _soon(reader.get())
            assert (first.seq, first.columns.value) == (4, [1.0, 2.0])
            assert (second.seq, second.columns.value) == (9, [3.0])

        self.check(steps)

    def test_every_reader_of_a_source_gets_all_of_it(self) -> None:
        async def steps(bus: Bus) -> None:
            first, second = bus.subscribe("acme", "rig-01"), bus.subscribe("acme", "rig-01")
            publish(bus, "acme", columns_of("rig-01", 1.0))
            assert await values(first, 1) == await values(second, 1) == [1.0]

        self.check(steps)

    def test_a_slow_reader_loses_the_oldest_and_is_told_how_many(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            for value in range(self.MAX_POINTS + 3):
                publish(bus, "acme", columns_of("rig-01", float(value)))
            assert await values(reader, self.MAX_POINTS) == [float(value) for value in range(3, self.MAX_POINTS + 3)]
            assert reader.missed == 3

        self.check(steps)

    def test_a_quick_reader_misses_nothing(self) -> None:
        async def steps(bus: Bus) -> None:
            reader, slow = bus.subscribe("acme", "rig-01"), bus.subscribe("acme", "rig-01")
            for value in range(self.MAX_POINTS * 2):
                publish(bus, "acme", columns_of("rig-01", float(value)))
                assert await values(reader, 1) == [float(value)]
            assert reader.missed == 0
            assert slow.missed == self.MAX_POINTS

        self.check(steps)

    def test_the_newest_message_stays_however_large_it_is(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            large = [float(value) for value in range(self.MAX_POINTS * 2)]
            publish(bus, "acme", columns_of("rig-01", -1.0))
            publish(bus, "acme", columns_of("rig-01", *large))
            assert await values(reader, len(large)) == large
            assert reader.missed == 1

        self.check(steps)

    def test_a_reader_that_left_is_in_nobodys_way(self) -> None:
        async def steps(bus: Bus) -> None:
            gone, stays = bus.subscribe("acme", "rig-01"), bus.subscribe("acme", "rig-01")
            gone.close()
            gone.close()
            publish(bus, "acme", columns_of("rig-01", 1.0))
            assert await values(stays, 1) == [1.0]

        self.check(steps)

    def test_the_head_is_the_commit_that_was_published_last_whoever_listens(self) -> None:
        async def steps(bus: Bus) -> None:
            assert bus.head == 0
            bus.publish(3, [("acme", columns_of("rig-01", 1.0))])
            bus.subscribe("acme", "rig-01")
            bus.publish(5, [("acme", columns_of("rig-02", 1.0))])
            assert bus.head == 5

        self.check(steps)

    def test_what_waits_is_counted(self) -> None:
        async def steps(bus: Bus) -> None:
            reader = bus.subscribe("acme", "rig-01")
            publish(bus, "acme", columns_of("rig-01", 1.0, 2.0))
            assert reader.waiting == 2
            await _soon(reader.get())
            assert reader.waiting == 0

        self.check(steps)

    def test_publishing_to_nobody_is_fine(self) -> None:
        async def steps(bus: Bus) -> None:
            publish(bus, "acme", columns_of("rig-01", 1.0))
            publish(bus, "acme", Columns())

        self.check(steps)


def publish(bus: Bus, org: str, columns: Columns) -> None:
    """Publish a commit of one submission."""
    bus.publish(1, [(org, columns)])


async def values(reader: Subscription, count: int) -> list[object]:
    """The values of the next `count` points (or of a few more, when they came together)."""
    got: list[object] = []
    while len(got) < count:
        got.extend((await _soon(reader.get())).columns.value)
    return got


async def _soon(coming: Awaitable[Published]) -> Published:
    return await asyncio.wait_for(coming, PATIENCE_S)
