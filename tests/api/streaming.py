"""Streams of both clients, driven by a test's own thread, so that one suite holds both to the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import attrs

from plexus.api.asynclink import AsyncLink
from plexus.api.link import Link
from plexus.api.place import Place
from plexus.api.retry import Budget
from plexus.api.streams import AsyncStream, Stream
from plexus.api.streams.plans import Plan
from plexus.domain.live import StreamNotice

T = TypeVar("T")
R = TypeVar("R")

KEY = "plx_canary_of_this_test_never_to_be_seen_anywhere"
PATIENCE_S = 20.0


class Pauses:
    """Waits for at most `longest_s` and keeps what it was asked to wait."""

    def __init__(self, longest_s: float = 0.0) -> None:
        self.asked: list[float] = []
        self.reached = threading.Event()
        self._longest_s = longest_s

    def blocking(self, closed: threading.Event, seconds: float) -> None:
        self._noted(seconds)
        closed.wait(min(seconds, self._longest_s))

    async def awaited(self, seconds: float) -> None:
        self._noted(seconds)
        await asyncio.sleep(min(seconds, self._longest_s))

    def _noted(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.reached.set()


@attrs.frozen
class Options:
    """How a stream is opened."""

    notices: Callable[[StreamNotice], None] | None = None
    pauses: Pauses = attrs.field(factory=Pauses)
    key: str = KEY
    timeout: float = 5.0

    def place(self, url: str) -> Place:
        return Place(url, url, self.key, self.timeout)


class Opened(Generic[T]):
    """A stream of the blocking client."""

    def __init__(self, url: str, plan: Plan[T], options: Options) -> None:
        self._link = Link(options.place(url), Budget(0, 0.0))
        self.stream: Any = Stream(self._link, plan, options.notices, pause=options.pauses.blocking)

    def __enter__(self) -> Opened[T]:
        self.stream.__enter__()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def next(self) -> T:
        """The next item; a test that gets none fails."""
        found = self.receive(PATIENCE_S)
        assert found is not None, "nothing came"
        return found

    def take(self, count: int) -> list[T]:
        return [self.next() for _ in range(count)]

    def values(self, count: int) -> list[Any]:
        return [item.value for item in self.take(count)]  # type: ignore[attr-defined]

    def receive(self, timeout: float | None = None) -> T | None:
        found: T | None = self.stream.receive(timeout)
        return found

    def rest(self) -> list[T]:
        """All that comes until the stream is over."""
        return list(self.stream)

    def close(self) -> None:
        self.stream.close()

    def end(self) -> None:
        """Close, and let go of everything."""
        self.close()
        self._link.close()


class AwaitedOpened(Opened[T]):
    """A stream of the awaited client, on a loop in a thread of its own."""

    def __init__(self, url: str, plan: Plan[T], options: Options) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="awaited-stream")
        self._thread.start()
        try:
            self._run(self._made(url, plan, options))
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> AwaitedOpened[T]:
        try:
            self._run(self.stream.__aenter__())
        except BaseException:
            self.end()
            raise
        return self

    def receive(self, timeout: float | None = None) -> T | None:
        found: T | None = self._run(self.stream.receive(timeout))
        return found

    def rest(self) -> list[T]:
        async def collect() -> list[T]:
            return [item async for item in self.stream]

        return self._run(collect())

    def close(self) -> None:
        if not self._loop.is_closed():
            self._run(self.stream.close())

    def end(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self._let_go())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _made(self, url: str, plan: Plan[T], options: Options) -> None:
        self._async_link = AsyncLink(options.place(url), Budget(0, 0.0))
        self.stream = AsyncStream(self._async_link, plan, options.notices, pause=options.pauses.awaited)

    async def _let_go(self) -> None:
        with contextlib.suppress(AttributeError):
            await self.stream.close()
            await self._async_link.aclose()
        await self._loop.shutdown_default_executor()

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        future: Future[R] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(PATIENCE_S)


@attrs.frozen
class Shell:
    """One of the two clients."""

    name: str
    kind: Callable[[str, Any, Options], Opened[Any]]

    def make(self, url: str, plan: Plan[T], **options: Any) -> Opened[T]:
        """A stream that is not opened yet; `end` it."""
        return self.kind(url, plan, Options(**options))

    @contextlib.contextmanager
    def open(self, url: str, plan: Plan[T], **options: Any) -> Iterator[Opened[T]]:
        """An open stream, closed in the end."""
        made = self.make(url, plan, **options)
        try:
            with made:
                yield made
        finally:
            made.end()


SHELLS = [Shell("blocking", Opened), Shell("awaited", AwaitedOpened)]
