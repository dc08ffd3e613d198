"""The questions of `bench.history` put to InfluxDB 1.6 over the same points, on the same core."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from bench.neighbours.influx import Influx

if TYPE_CHECKING:
    from bench.history import Plan

BATCH = 10_000
NOTHING_S = 60.0
"""How long InfluxDB gets to be done with what it does behind a load."""


def fill(influx: Influx, plan: Plan, parts: Iterator[Any]) -> None:
    """Write the points of a plan, part by part (Arrow tables of `bench.history`), and read the count back."""
    link = http.client.HTTPConnection("127.0.0.1", influx.port, timeout=120)
    names = {series: plan.name_of(series) for series in range(1, plan.series + 1)}
    heads = {series: f"{name.metric},source={name.source_id} value=" for series, name in names.items()}
    for part in parts:
        columns = (part.column(name).to_numpy() for name in ("series", "num", "t_ns"))
        series, values, t_ns = columns
        rows = zip(series.tolist(), values.tolist(), (t_ns // 1_000_000).tolist(), strict=True)
        lines = [f"{heads[one]}{value!r} {ms}" for one, value, ms in rows]
        for first in range(0, len(lines), BATCH):
            link.request("POST", "/write?db=plexus&precision=ms", "\n".join(lines[first : first + BATCH]).encode())
            answer = link.getresponse()
            answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"InfluxDB answered {answer.status}")
    link.close()
    stored = sum(int(one["values"][0][1]) for one in influx.ask('SELECT count("value") FROM /imu/'))
    if stored != plan.total:
        raise AssertionError(f"{plan.total} written, {stored} stored")


@attrs.define
class InfluxAsker:
    """Asks as `bench.history.Asker` does: `took` is from the request to the answer's last byte, seconds."""

    plan: Plan
    influx: Influx
    turn: int = 0
    took: float = 0.0

    def raw(self, start_ms: int, end_ms: int) -> Callable[[], None]:
        """The values of one series, another each time."""
        number, name = self._next()
        query = f'SELECT "value" FROM "{name.metric}" {self._where(name.source_id, start_ms, end_ms)}'
        return lambda: self._ask(query, lambda found: len(found[0]["values"]), number, start_ms, end_ms)

    def buckets(self, start_ms: int, end_ms: int) -> Callable[[], None]:
        """Four aggregates of one series in buckets of a minute."""
        number, name = self._next()
        query = (
            f'SELECT min("value"), max("value"), mean("value"), count("value") FROM "{name.metric}" '
            f"{self._where(name.source_id, start_ms, end_ms)} GROUP BY time(1m)"
        )
        return lambda: self._ask(
            query, lambda found: sum(row[4] for row in found[0]["values"]), number, start_ms, end_ms
        )

    def latest(self) -> Callable[[], None]:
        """The newest value of every metric of one source."""
        _number, name = self._next()

        def ask() -> None:
            found = self._timed(f'SELECT last("value") FROM /imu/ WHERE "source" = \'{name.source_id}\'')
            if len(found) != self.plan.metrics:
                raise AssertionError(f"{self.plan.metrics} metrics written, {len(found)} answered")

        return ask

    def _next(self) -> tuple[int, Any]:
        self.turn += 1
        number = self.turn * 1_237 % self.plan.series + 1
        return number, self.plan.name_of(number)

    def _where(self, source: str, start_ms: int, end_ms: int) -> str:
        return f"WHERE \"source\" = '{source}' AND time >= {start_ms}ms AND time < {end_ms}ms"

    def _ask(
        self, query: str, count: Callable[[list[dict[str, Any]]], int], number: int, start_ms: int, end_ms: int
    ) -> None:
        found, expected = count(self._timed(query)), self.plan.count(number, start_ms, end_ms)
        if found != expected:
            raise AssertionError(f"{expected} written, {found} answered")

    def _timed(self, query: str) -> list[dict[str, Any]]:
        answer, self.took = self.influx.timed(query)
        return answer


def settle(folder: Path) -> None:
    """Wait until nothing in the data directory has changed for a while, for at most NOTHING_S."""
    end, before, same = time.monotonic() + NOTHING_S, -1, 0
    while time.monotonic() < end and same < 5:
        size = int(np.sum([path.stat().st_size for path in folder.rglob("*") if path.is_file()]))
        same = same + 1 if size == before else 0
        before = size
        time.sleep(1.0)
