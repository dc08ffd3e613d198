"""How an export is sent: part by part, at the reader's pace, and no longer than somebody reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

import attrs
import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import QueryError, StoreError
from plexus.gateway.asgi import Disconnected, HttpError, Message
from plexus.gateway.core import Limits
from plexus.gateway.meters import Meters
from plexus.gateway.rest.download import Exports, Sending
from plexus.ports.store import Question, Selection
from plexus.protocol.columns import Columns
from tests.gateway.rest.house import NOW_MS, House


class Reader:
    """A client: what it got, and when it leaves."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.gone = asyncio.Event()
        self.pace: Callable[[], Awaitable[None]] | None = None

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.got.append(message)
        if self.pace is not None:
            await self.pace()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.got)


class Source:
    """Parts that note how many were made, and whether they were closed."""

    def __init__(self, count: int = 3, error: Exception | None = None) -> None:
        self.made = 0
        self.closed = False
        self.question = Question()
        self._count = count
        self._error = error

    def parts(self) -> Generator[bytes]:
        try:
            for index in range(self._count):
                self.question.check()
                if self._error is not None and index == self._count - 1:
                    raise self._error
                self.made += 1
                yield str(index).encode()
        finally:
            self.closed = True


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


def sending(source: Source, exports: Exports | None = None) -> Sending:
    return Sending(exports or Exports(Limits(), Meters()), "acme", source.parts(), source.question)


def test_the_parts_come_in_order_and_the_end_is_said() -> None:
    async def work() -> None:
        reader, source = Reader(), Source(3)
        await sending(source)([(b"content-type", b"text/csv")], reader.receive, reader.send)
        assert reader.body == b"012"
        assert reader.got[0] == {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/csv")],
        }
        assert [message.get("more_body") for message in reader.got[1:]] == [True, True, True, False]
        assert source.closed

    run(work())


def test_no_part_is_made_before_the_one_before_it_is_on_its_way() -> None:
    async def work() -> None:
        reader, source = Reader(), Source(50)
        made = []

        async def pace() -> None:
            await asyncio.sleep(0)
            made.append(source.made)

        reader.pace = pace
        await sending(source)([], reader.receive, reader.send)
        assert made == [1, *range(1, 51), 50]

    run(work())


def test_it_ends_when_the_reader_leaves() -> None:
    async def work() -> None:
        reader, source = Reader(), Source(1_000_000)

        async def pace() -> None:
            if source.made == 3:
                reader.gone.set()

        reader.pace = pace
        await sending(source)([], reader.receive, reader.send)
        assert source.closed
        assert source.made < 10
        assert all(message.get("more_body", True) for message in reader.got)

    run(work())


def test_a_part_that_is_being_made_is_ended_when_the_reader_leaves() -> None:
    async def work() -> None:
        reader, question, begun = Reader(), Question(), threading.Event()

        def endless() -> Generator[bytes]:
            begun.set()
            while True:
                question.check()
            yield b""

        task = asyncio.ensure_future(
            Sending(Exports(Limits(), Meters()), "acme", endless(), question)([], reader.receive, reader.send)
        )
        await asyncio.to_thread(begun.wait)
        reader.gone.set()
        with pytest.raises(Disconnected):
            await task

    run(work())


def test_it_ends_when_the_reader_takes_nothing() -> None:
    async def work() -> None:
        reader, source = Reader(), Source(10)
        never = asyncio.Event()

        async def pace() -> None:
            if source.made == 2:
                await never.wait()

        reader.pace = pace
        exports = Exports(attrs.evolve(Limits(), export_stall_s=0.05), Meters())
        await sending(source, exports)([], reader.receive, reader.send)
        assert source.closed
        assert source.made == 2
        assert all(message.get("more_body", True) for message in reader.got)

    run(work())


def test_what_fails_before_the_first_part_is_an_error_like_any_other() -> None:
    async def work() -> None:
        reader = Reader()
        with pytest.raises(StoreError):
            await sending(Source(1, StoreError("the disk is gone")))([], reader.receive, reader.send)
        assert reader.got == []

    run(work())


def test_what_fails_later_leaves_the_answer_without_its_end() -> None:
    async def work() -> None:
        reader = Reader()
        with pytest.raises(StoreError):
            await sending(Source(3, StoreError("the disk is gone")))([], reader.receive, reader.send)
        assert all(message.get("more_body", True) for message in reader.got)

    run(work())


def test_an_organisation_has_so_many_exports_at_once() -> None:
    async def work() -> None:
        exports = Exports(attrs.evolve(Limits(), exports_at_once=1), Meters())
        held, begun, go_on = Reader(), asyncio.Event(), asyncio.Event()

        async def pace() -> None:
            begun.set()
            await go_on.wait()

        held.pace = pace
        first = asyncio.ensure_future(sending(Source(), exports)([], held.receive, held.send))
        await begun.wait()
        reader = Reader()
        with pytest.raises(HttpError, match="exports of this organisation run already") as refused:
            await sending(Source(), exports)([], reader.receive, reader.send)
        assert refused.value.status == 429
        other = Source()
        await Sending(exports, "other", other.parts(), other.question)([], reader.receive, reader.send)
        go_on.set()
        await first
        await sending(Source(), exports)([], reader.receive, reader.send)

    run(work())


def test_how_exports_ended_is_counted() -> None:
    async def work() -> None:
        meters = Meters()
        exports = Exports(attrs.evolve(Limits(), exports_at_once=1), meters)
        reader, left = Reader(), Reader()
        left.gone.set()
        await sending(Source(3), exports)([], reader.receive, reader.send)
        with pytest.raises(Disconnected):
            await sending(Source(), exports)([], left.receive, left.send)
        with pytest.raises(StoreError):
            await sending(Source(1, StoreError("the disk is gone")), exports)([], reader.receive, reader.send)
        with exports.one("acme"), pytest.raises(HttpError):
            await sending(Source(), exports)([], reader.receive, reader.send)
        for outcome in ("answered", "left", "failed", "busy"):
            assert meters.registry.get_sample_value("plexus_exports_total", {"outcome": outcome}) == 1

    run(work())


class _Broken(MemoryStore):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        raise self._error


@pytest.mark.parametrize(("error", "status"), [(StoreError("the disk is gone"), 503), (QueryError("too much"), 400)])
def test_a_store_that_cannot_answer_is_no_empty_file(error: Exception, status: int) -> None:
    house = House(_Broken(error))
    house.stored("rig", "a", 1)
    assert house.refused("GET", "/v1/export?sources=rig")[0] == status
    house.close()


def test_an_export_is_larger_than_any_of_its_parts(house: House) -> None:
    house.stored("rig", "a", *range(30_000), at_ms=NOW_MS - 50_000)
    text = house.request("GET", "/v1/export?sources=rig").text
    assert text.count("\r\n") == 30_001
    assert text.endswith(",29999,,\r\n")
