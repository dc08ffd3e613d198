"""The load that every system is given: four sources of ten metrics each at 1 kHz, a fifth of the points with tags."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import attrs

CONNECTIONS = 4
METRICS = 10
TAGS = {"part": "left", "unit": "g"}

Link = TypeVar("Link")
Body = TypeVar("Body")


@attrs.frozen
class Load:
    """`count` points a connection, the newest of them now."""

    run: str
    count: int
    start_ms: int

    @property
    def total(self) -> int:
        """Points of all connections."""
        return self.count * CONNECTIONS

    def source(self, number: int) -> str:
        """The source of a connection."""
        return f"{self.run}-{number}"

    def points(self) -> Iterator[tuple[str, float, int, bool]]:
        """Metric, value, time in milliseconds and whether it has tags; the same for every source."""
        for index in range(self.count):
            yield f"imu.{index % METRICS}", index * 0.001, self.start_ms + index // METRICS, index % 5 == 0


def load_of(run: str, count: int) -> Load:
    """A load that ends now."""
    return Load(run, count, int(time.time() * 1000) - count // METRICS)


def timed(links: Sequence[Link], bodies: Sequence[Sequence[Body]], send: Callable[[Link, Body], None]) -> float:
    """Seconds until every connection has sent its bodies, each of them answered."""

    def work(link: Link, own: Sequence[Body]) -> None:
        try:
            for body in own:
                send(link, body)
        except BaseException as exc:  # noqa: BLE001 - raised again below, where the figure would come from
            faults.append(exc)

    faults: list[BaseException] = []
    threads = [threading.Thread(target=work, args=pair) for pair in zip(links, bodies, strict=True)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if faults:
        raise faults[0]
    return took
