"""`make test-soak` runs this for 15 minutes (`SOAK_S` seconds, 8 hours by argument); `make test` for a few seconds."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median

import attrs
import psutil
import pytest

from plexus.adapters.store.embedded.files.reading import MAX_FILES
from tests.soak.load import Load
from tests.support.served import Served
from tests.support.waiting import eventually

SOAK_S = float(os.environ.get("SOAK_S", "6"))
SAMPLES = 40
JUDGED_FROM_S = 300.0
"""Memory and disk are judged once so much time has passed: before it, caches fill and nothing was sealed yet."""
MIB = 1024 * 1024


@attrs.frozen
class Sample:
    """The gateway at one moment."""

    points: int
    memory: int
    descriptors: int
    disk: int


@pytest.mark.timeout(SOAK_S + 300)
def test_under_mixed_load_everything_arrives_and_nothing_grows(tmp_path: Path) -> None:
    served = Served(tmp_path).start()
    try:
        process = _gateway_of(served)
        before = _descriptors(process)
        load = Load(served, tmp_path)
        load.start()
        samples = []
        for _ in range(SAMPLES):
            time.sleep(SOAK_S / SAMPLES)  # the subject is a stretch of real time
            assert not load.faults, load.faults
            samples.append(_sample(process, load, tmp_path / "data"))
        load.stop()
        for source_id, count in load.sent.items():
            eventually(lambda s=source_id, n=count: _stored(served, s) == n, 30.0, f"{count} points of {source_id}")  # type: ignore[misc]
        assert set(load.read) == {"ours-0", "socket-0", "events", "video"}, load.read
        eventually(lambda: _descriptors(process) <= before + 10, 30.0, "the descriptors of before")
        _judge(samples)
        assert served.stop() == 0
    finally:
        served.kill()


def _judge(samples: list[Sample]) -> None:
    last = samples[-1]
    quarters = [samples[first : first + len(samples) // 4] for first in range(0, len(samples), len(samples) // 4)]
    memory = ", ".join(f"{median(each.memory for each in quarter) / MIB:.0f}" for quarter in quarters)
    sys.stdout.write(
        f"\n{last.points:,} points, {memory} MiB by quarter, {last.disk / last.points:.1f} bytes of disk a point\n"
    )
    if SOAK_S < JUDGED_FROM_S:
        assert last.memory < 500 * MIB
        return
    middle, end = quarters[1], quarters[-1]
    assert median(each.memory for each in end) < 1.15 * median(each.memory for each in middle) + 20 * MIB
    assert median(each.descriptors for each in end) <= median(each.descriptors for each in middle) + 5
    assert _per_point(end) < 1.15 * _per_point(middle)


def _per_point(samples: list[Sample]) -> float:
    return median(each.disk / each.points for each in samples)


def _sample(process: psutil.Process, load: Load, data: Path) -> Sample:
    # Beside those that are kept open, each question may be at one that was let go of meanwhile.
    assert _history(process) <= MAX_FILES + 16
    disk = sum(_size(path) for path in data.rglob("*") if path.is_file())
    return Sample(max(1, load.total), process.memory_info().rss, _descriptors(process), disk)


def _descriptors(process: psutil.Process) -> int:
    """What is open but for files of the history: of those it keeps MAX_FILES open at most, which `_sample` looks at."""
    opened = int(process.num_fds())
    return opened - _history(process)


def _history(process: psutil.Process) -> int:
    return sum(str(file.path).endswith(".parquet") for file in process.open_files())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # sealed or merged away meanwhile
        return 0


def _stored(served: Served, source_id: str) -> int:
    answer = served.get(f"/v1/sources/{source_id}/metrics/query", metrics="soak.value", last="1d", interval="1h")
    return sum(answer["series"]["soak.value"]["count"]) if answer else 0


def _gateway_of(served: Served) -> psutil.Process:
    return next(
        process
        for process in psutil.process_iter(["cmdline"])
        if str(served.port) in (process.info["cmdline"] or []) and "serve" in process.info["cmdline"]
    )
