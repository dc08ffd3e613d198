"""Questions over 20 and 200 million points that lie in sealed files, over HTTP, with the gateway on one core.

The files are made by the code that seals points, in stretches of the size to which the gateway merges them. Every
answer's counts are compared with how many points were written into its window.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
import httpx
import numpy as np
import psutil
import pyarrow as pa

from bench.figures import RUNS, median, table
from bench.house import House, gateway
from bench.neighbours import Influx
from bench.neighbours.questions import InfluxAsker, fill, settle
from plexus.adapters.store.embedded import files as history
from plexus.adapters.store.embedded.arrow import POINTS
from plexus.adapters.store.embedded.catalogue import SeriesRow
from plexus.adapters.store.embedded.files.bridge import Array, arrow
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.adapters.store.embedded.journal import Journal
from plexus.adapters.store.embedded.manifest import Change, Manifest
from plexus.adapters.store.embedded.opening import FOLDER
from plexus.adapters.store.embedded.values import pack
from plexus.gateway.wellknown import DEFAULT_ORG

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
NS_PER_MS = 1_000_000
END_MS = 20_600 * DAY_MS
"""The end of the points: a midnight in 2026."""

HEADINGS = ["question, over HTTP", "ms", "the first one, from cold files, ms"]

WARM = 1
"""Questions of a kind that are asked before those that count."""


@attrs.frozen
class Plan:
    """Points of `sources` times `metrics` series, `interval_ms` apart but for some jitter, in the time up to END_MS."""

    name: str
    sources: int
    metrics: int
    interval_ms: int
    points: int

    @property
    def series(self) -> int:
        """How many series there are."""
        return self.sources * self.metrics

    @property
    def total(self) -> int:
        """How many points there are."""
        return self.series * self.points

    def name_of(self, series: int) -> history.SeriesName:
        """What a series is called; ids count from 1."""
        source, metric = divmod(series - 1, self.metrics)
        return history.SeriesName(DEFAULT_ORG, f"rig-{source:04d}", f"imu.axis{metric:02d}")

    def times(self, turns: Array, series: Array | int) -> Array:
        """Milliseconds of points; a turn is one point of every series."""
        jitter = (turns * 7 + series * 13) % 5
        found: Array = END_MS + (turns - self.points) * self.interval_ms + jitter
        return found

    def count(self, series: int, start_ms: int, end_ms: int) -> int:
        """How many points of a series lie in a window."""
        t = self.times(np.arange(self.points), series)
        return int(((t >= start_ms) & (t < end_ms)).sum())


SMALL = Plan("20 M points: 20 sources, 20 metrics, 10 Hz", 20, 20, 100, 50_000)
LARGE = Plan("200 M points: 1,000 sources, 20 metrics, 30 days", 1_000, 20, 30 * DAY_MS // 10_000, 10_000)


def run(house: House, folder: Path, runs: int = RUNS) -> str:  # noqa: ARG001 - it starts its own, on data of its own
    """Measure and return Markdown tables."""
    small, large = (
        _measured(plan, questions, folder / f"history-{number}", runs)
        for number, (plan, questions) in enumerate(((SMALL, _small), (LARGE, _large)))
    )
    return "\n\n".join((small, _beside(folder / "influx", runs), large))


def _beside(folder: Path, runs: int) -> str:
    """The questions of the small plan put to InfluxDB."""
    noon = END_MS - HOUR_MS
    with Influx(folder) as influx:
        fill(influx, SMALL, parts(SMALL))
        settle(folder)
        asker = InfluxAsker(SMALL, influx)
        rows = [
            _row(asker, "raw, 60 s of one series", lambda: asker.raw(noon, noon + MINUTE_MS), runs),
            _row(
                asker,
                "one series, 1 h in buckets of 1 m",
                lambda: asker.buckets(noon - 12_345, noon + HOUR_MS - 12_345),
                runs,
            ),
            _row(asker, "latest values of one source", asker.latest, runs),
        ]
    return f"**{influx.name}, the same 20 M points.**\n\n" + table(HEADINGS, rows)


def build(plan: Plan, data: Path) -> float:
    """Make a data directory with all points of a plan in sealed files; returns bytes a point of files."""
    data.mkdir(parents=True, mode=0o700)
    journal = Journal(data)
    try:
        manifest = Manifest(journal)
        names = {series: plan.name_of(series) for series in range(1, plan.series + 1)}
        size = 0
        for seq, points in enumerate(parts(plan), 1):
            empty = points.slice(0, 0)
            made = history.write(data / FOLDER, points, empty, names, extras={}, first_seq=seq, last_seq=seq)
            manifest.change(Change(into=made, cut=seq))
            size += sum(file.bytes for file in made)
        for _ in manifest.keep_series(_known(plan, _noise()), plan.series + 1):
            pass
        sources = {(DEFAULT_ORG, name.source_id): END_MS * NS_PER_MS for name in names.values()}
        for _ in manifest.keep_sources(sources):
            pass
    finally:
        journal.close()
    return size / plan.total


def parts(plan: Plan) -> Iterator[pa.Table]:
    """All points of a plan, in tables of the size to which files are merged."""
    noise = _noise()
    turns = max(1, Upkeep().merge_points // plan.series)
    for first in range(0, plan.points, turns):
        yield _points(plan, noise, first, min(plan.points, first + turns))


def _noise() -> Array:
    noise: Array = np.random.default_rng(1).normal(0, 0.05, 1_000_003)
    return noise


def _points(plan: Plan, noise: Array, first: int, end: int) -> pa.Table:
    """The points of some turns in the order of commit: turn by turn, all series in each."""
    turns = np.repeat(np.arange(first, end), plan.series)
    series = np.tile(np.arange(1, plan.series + 1, dtype=np.int32), end - first)
    values = _values(noise, turns, series)
    nothing = np.zeros(len(turns), np.int32)
    packed = pa.Array.from_buffers(
        pa.binary(), len(turns), [None, pa.py_buffer(np.zeros(len(turns) + 1, np.int32)), pa.py_buffer(b"")]
    )
    t_ns = plan.times(turns, series) * NS_PER_MS
    columns = [arrow(series), arrow(t_ns), arrow(nothing.astype(np.uint8)), arrow(values), packed, arrow(nothing)]
    return pa.Table.from_arrays(columns, schema=POINTS)


def _values(noise: Array, turns: Array, series: Array) -> Array:
    """An accelerometer's reading: a slow sway and noise, to three decimals."""
    place = (turns * 7_919 + series.astype(np.int64) * 104_729) % len(noise)
    return np.round(9.81 + 0.5 * np.sin(turns / 70 + series) + noise[place], 3)


def _known(plan: Plan, noise: Array) -> Iterator[SeriesRow]:
    last = np.array([plan.points - 1])
    for number in range(1, plan.series + 1):
        name = plan.name_of(number)
        first_ns, last_ns = (int(plan.times(turn, number)[0]) * NS_PER_MS for turn in (last * 0, last))
        value = float(_values(noise, last, np.array([number]))[0])
        yield SeriesRow(
            series=number,
            org=name.org,
            source_id=name.source_id,
            metric=name.metric,
            is_event=False,
            stored_source=name.source_id,
            first_ns=first_ns,
            last_ns=last_ns,
            latest=pack(value),
        )


@attrs.define
class Asker:
    """Asks a running gateway, on one connection that is kept open; `took` is how long the last answer took, in s.

    That is from the request to the answer's last byte: what the client makes of it is not measured.
    """

    plan: Plan
    client: httpx.Client
    turns: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    took: float = 0.0

    def series(self) -> history.SeriesName:
        """Another series each time."""
        return self.plan.name_of(self._number())

    def window(self, series: history.SeriesName, start_ms: int, end_ms: int, interval: str) -> Callable[[], None]:
        """A question about one series; its answer is checked."""
        number = int(series.source_id[-4:]) * self.plan.metrics + int(series.metric[-2:]) + 1
        expected = self.plan.count(number, start_ms, end_ms)

        def ask() -> None:
            found = self._get(
                f"/v1/sources/{series.source_id}/metrics/query",
                metrics=series.metric,
                start=_instant(start_ms),
                end=_instant(end_ms),
                interval=interval,
            )["series"][series.metric]
            _equal(len(found["value"]) if interval == "raw" else sum(found["count"]), expected)

        return ask

    def latest(self, series: history.SeriesName) -> Callable[[], None]:
        """The newest values of one source."""

        def ask() -> None:
            _equal(len(self._get(f"/v1/sources/{series.source_id}/metrics/latest")["metrics"]), self.plan.metrics)

        return ask

    def fleet(self, metric: str, start_ms: int, end_ms: int, interval: str) -> Callable[[], None]:
        """One metric of all sources."""
        place = int(metric[-2:]) + 1
        own = range(place, self.plan.series + 1, self.plan.metrics)
        expected = sum(self.plan.count(number, start_ms, end_ms) for number in own)

        def ask() -> None:
            answer = self._get(
                "/v1/fleet/metrics", metric=metric, start=_instant(start_ms), end=_instant(end_ms), interval=interval
            )
            _equal(sum(sum(source["count"]) for source in answer["sources"]), expected)
            if answer["truncated"]:
                raise AssertionError("the answer has no room for all sources")

        return ask

    def _number(self) -> int:
        return next(self.turns) * 1_237 % self.plan.series + 1

    def _get(self, path: str, **query: str) -> Any:
        began = time.perf_counter()
        answer = self.client.get(path, params=query)
        self.took = time.perf_counter() - began
        return answer.raise_for_status().json()


Kinds = dict[str, Callable[[], Callable[[], None]]]
"""Makers of questions by what they are called; each makes another one every time."""


def _small(asker: Asker) -> Kinds:
    noon = END_MS - HOUR_MS
    return {
        "raw, 60 s of one series": lambda: asker.window(asker.series(), noon, noon + MINUTE_MS, "raw"),
        "one series, 1 h in buckets of 1 m": lambda: asker.window(
            asker.series(), noon - 12_345, noon + HOUR_MS - 12_345, "1m"
        ),
        "latest values of one source": lambda: asker.latest(asker.series()),
    }


def _large(asker: Asker) -> Kinds:
    end = END_MS - 40 * MINUTE_MS - 1_234  # no window ends with a bucket, or with a day
    return {
        "one series, 24 h in buckets of 10 m": lambda: asker.window(asker.series(), end - DAY_MS, end, "10m"),
        "one metric of 1,000 sources, 24 h in buckets of 10 m": lambda: asker.fleet(
            asker.series().metric, end - DAY_MS, end, "10m"
        ),
        "one series, 30 days in buckets of 1 h": lambda: asker.window(asker.series(), end - 30 * DAY_MS, end, "1h"),
    }


def _measured(plan: Plan, questions: Callable[[Asker], Kinds], folder: Path, runs: int) -> str:
    began = time.perf_counter()
    bytes_a_point = build(plan, folder / "data")
    built = time.perf_counter() - began
    try:
        with started(folder) as (house, process, ready):
            idle = _memory(process)
            with httpx.Client(base_url=house.url, headers={"x-api-key": house.key}, timeout=60) as client:
                asker = Asker(plan, client)
                rows = [_row(asker, name, make, runs) for name, make in questions(asker).items()]
            asked = _memory(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about = (
        f"**{plan.name}.** {bytes_a_point:.2f} bytes a point with roll-ups; made in {built:.0f} s; from the start of "
        f"the process to `/healthz` {ready:.2f} s; memory {idle:.0f} MB after it, {asked:.0f} MB after the questions."
    )
    return about + "\n\n" + table(HEADINGS, rows)


def _row(asker: Asker | InfluxAsker, name: str, make: Callable[[], Callable[[], None]], runs: int) -> list[str]:
    times = []
    for _ in range(WARM + runs):
        make()()
        times.append(asker.took)
    return [name, f"{median(times[WARM:]) * 1e3:.1f}", f"{times[0] * 1e3:.1f}"]


@contextmanager
def started(folder: Path) -> Iterator[tuple[House, psutil.Process, float]]:
    """A gateway on this data, its process, and how long it took to be healthy."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    began = time.perf_counter()
    with gateway(folder) as house:
        while httpx.get(house.url + "/healthz", timeout=60).status_code != 200:
            time.sleep(0.01)
        ready = time.perf_counter() - began
        (process,) = (child for child in psutil.Process().children(recursive=True) if child.pid not in before)
        yield house, process, ready


def _memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat()


def _equal(found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"{expected} written, {found} answered")
