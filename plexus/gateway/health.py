"""Whether the gateway does its work, and what it measures of itself beside the meters that its parts keep."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from plexus.gateway.core import Core

FREE_BYTES = 32 * 1024 * 1024
"""A disk with less is about to refuse a commit."""


def unready(core: Core) -> str | None:
    """Why the gateway takes no data just now; None when it does. Blocks for as long as the disk takes to answer."""
    if core.sockets.closing:
        return "the gateway is shutting down"
    if core.committer.trouble() is not None:
        return "the store does not take data; the gateway's log says why"
    if core.data_dir is not None and shutil.disk_usage(core.data_dir).free < FREE_BYTES:
        return f"the disk has less than {FREE_BYTES // 1024 // 1024} MiB left; make room"
    return None


def exposition(core: Core) -> bytes:
    """What `GET /metrics` says: the core's meters, and what is looked up now. Blocks: the data's files are counted."""
    now = CollectorRegistry()
    now.register(_State(core))
    ProcessCollector(registry=now)
    return generate_latest(core.meters.registry) + generate_latest(now)


class _State(Collector):
    """What is there at this moment."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterator[Metric]:
        """The gauges, made anew for each question."""
        core = self._core
        waiting = core.committer.waiting_points
        yield GaugeMetricFamily("plexus_queue_points", "Points that wait for a commit.", waiting)
        yield GaugeMetricFamily("plexus_open_sockets", "Authenticated WebSockets.", len(core.sockets))
        ready = 0 if core.sockets.closing or core.committer.trouble() is not None else 1
        yield GaugeMetricFamily("plexus_ready", "Whether data is taken.", ready)
        if core.data_dir is not None:
            yield from _disk(core.data_dir)


def _disk(data: Path) -> Iterator[Metric]:
    size = GaugeMetricFamily("plexus_store_bytes", "Size of the data directory's files, by part.", labels=["part"])
    files = GaugeMetricFamily("plexus_store_files", "Number of the data directory's files, by part.", labels=["part"])
    for part, (count, total) in sorted(_parts(data).items()):
        size.add_metric([part], total)
        files.add_metric([part], count)
    yield size
    yield files
    yield GaugeMetricFamily("plexus_disk_free_bytes", "Room on the data's disk.", shutil.disk_usage(data).free)


def _parts(data: Path) -> dict[str, tuple[int, int]]:
    """Files and bytes of each database (with what SQLite keeps beside it) and of each folder of the history."""
    parts: dict[str, tuple[int, int]] = {}
    for path in data.rglob("*"):
        inside = path.relative_to(data).parts
        if inside[0].startswith("."):
            continue  # a backup that is being made
        try:
            stat = path.lstat()
        except FileNotFoundError:
            continue  # merged or let go of meanwhile
        if path.is_dir():
            continue
        part = inside[0].partition(".")[0] if len(inside) == 1 else inside[min(1, len(inside) - 2)]
        count, total = parts.get(part, (0, 0))
        parts[part] = (count + 1, total + stat.st_size)
    return parts
