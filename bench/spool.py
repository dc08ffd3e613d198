"""The spool's figures: how fast batches get onto the disk and off it again, what it weighs, what it writes to flash.

    python -m bench.spool [directory on the disk to be measured]

Every function returns one figure. A memory file system would measure nothing: name a directory on a real disk.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import RUNS, median, table
from bench.house import House
from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.block import Block
from plexus.protocol.extensions import COLUMNAR

BATCH_POINTS = 100
DEEP_POINTS = 500_000
BOUND, DEFAULT_BOUND = 2_000_000, 10_000
OFFLINE_POINTS, OFFLINE_EVERY_S = 16, 0.25
JSON, COMPACT = JsonCodec(), ColumnarCodec()
"""What a device seals for a gateway that takes nothing else, and what it seals while there is no gateway."""
YEAR_S = 365 * 24 * 3600


def batches(count: int, codec: Codec, points: int = BATCH_POINTS, first: int = 1) -> list[Batch]:
    """Batches of readings of three channels at 500 Hz, sealed by `codec`."""
    return [_batch(n, codec, points) for n in range(first, first + count)]


def _batch(n: int, codec: Codec, points: int) -> Batch:
    noise = random.Random(n)
    first_ms = 1_746_969_660_000 + n * points * 2
    block = Block(
        [f"imu.accel.{'xyz'[index % 3]}" for index in range(points)],
        [(first_ms + 2 * index) * 1_000_000 for index in range(points)],
        [round(noise.gauss(0.0, 9.81), 4) for _ in range(points)],
    )
    body = codec.encode([block])
    needs = frozenset({COLUMNAR} if codec.name == COLUMNAR else ())
    last_ms = float(first_ms + 2 * (points - 1))
    return Batch("0123456789abcdef" * 2, n, points, body, digest_of(body), needs, float(first_ms), last_ms)


def points_in_per_s(directory: Path, kept: int = 0, count: int = 2_000) -> float:
    """Points a second into a spool that keeps `kept` points: batches of 100, each flushed before the next."""
    with _spool(directory) as buffer:
        for start in range(0, kept, 100 * BATCH_POINTS):
            buffer.append(batches(100, JSON, first=start // BATCH_POINTS + 1))
        fresh = batches(count, JSON, first=kept // BATCH_POINTS + 1)
        begun = time.perf_counter()
        for batch in fresh:
            buffer.append([batch])
        return count * BATCH_POINTS / (time.perf_counter() - begun)


def points_out_per_s(directory: Path, kept: int = DEEP_POINTS) -> float:
    """Points a second out of a spool, sixteen batches in flight: looked at, released, the file emptied."""
    with _spool(directory) as buffer:
        for start in range(0, kept, 100 * BATCH_POINTS):
            buffer.append(batches(100, JSON, first=start // BATCH_POINTS + 1))
        begun = time.perf_counter()
        taken = 0
        while found := buffer.oldest(0, 16):
            buffer.release(found)
            taken += sum(batch.count for batch in found)
        return taken / (time.perf_counter() - begun)


def extra_memory_bytes(directory: Path, kept: int = DEEP_POINTS) -> int:
    """How much more memory a process has at its peak that fills, keeps and drains `kept` points, in a fresh process."""
    empty, full = (_peak_bytes(directory, points) for points in (0, kept))
    return full - empty


def offline_bytes_per_s(directory: Path, minutes: float = 20.0, bound: int = BOUND) -> float:
    """Bytes a second written to the disk while 65 points a second gather, a batch of 16 every 250 ms, columnar.

    With a small `bound` the spool is full, and the oldest make room. The clock plays no part in it, so the appends are
    made one after the other.
    """
    count = int(minutes * 60 / OFFLINE_EVERY_S)
    with _spool(directory, bound) as buffer:
        already = bound // OFFLINE_POINTS if bound < BOUND else 0
        buffer.append(batches(already, COMPACT, OFFLINE_POINTS))
        fresh = batches(count, COMPACT, OFFLINE_POINTS, first=already + 1)
        before = _written_bytes()
        for batch in fresh:
            buffer.append([batch])
    return (_written_bytes() - before) / (count * OFFLINE_EVERY_S)


def run(_house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table; what is counted and not timed is measured once."""
    figures: dict[str, str] = {}
    for kept in (0, DEEP_POINTS):
        rate = median([points_in_per_s(folder, kept) for _ in range(runs)])
        figures[f"in, batches of 100, each flushed, {kept:,} points kept"] = f"{rate:,.0f} points/s"
    figures["out, at 500,000 points"] = f"{median([points_out_per_s(folder) for _ in range(runs)]):,.0f} points/s"
    figures["extra memory at 500,000 points"] = f"{extra_memory_bytes(folder) / 2**20:.1f} MiB"
    for words, bound in (("filling", BOUND), ("full", DEFAULT_BOUND)):
        written = offline_bytes_per_s(folder, bound=bound)
        figures[f"written to the disk offline at 65 points/s, {words}"] = f"{written * YEAR_S / 1e12:.2f} TB a year"
    return table(["spool", "measured"], [list(item) for item in figures.items()])


class _spool:  # noqa: N801 - used as a function
    def __init__(self, directory: Path, bound: int = BOUND) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=directory)
        self._buffer = SqliteBuffer(Path(self._folder.name) / "spool.db", bound)

    def __enter__(self) -> SqliteBuffer:
        return self._buffer

    def __exit__(self, *_error: object) -> None:
        self._buffer.close()
        self._folder.cleanup()


def _written_bytes() -> int:
    """What this process has written to disks, as the kernel counts it: pages, not bytes handed over."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))


def _peak_bytes(directory: Path, kept: int) -> int:
    command = [sys.executable, "-m", "bench.spool", "--peak", str(kept), str(directory)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _print_peak(kept: int, directory: Path) -> None:
    with _spool(directory) as buffer:
        for start in range(0, max(kept, BATCH_POINTS), BATCH_POINTS):
            buffer.append(batches(1, JSON, first=start // BATCH_POINTS + 1))
        while found := buffer.oldest(0, 16):
            buffer.release(found)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main(arguments: list[str]) -> None:
    """Print all figures."""
    if arguments[:1] == ["--peak"]:
        _print_peak(int(arguments[1]), Path(arguments[2]))
        return
    directory = Path(arguments[0]) if arguments else Path.cwd()
    for line in _lines(directory):
        print(line, flush=True)


def _lines(directory: Path) -> Iterator[str]:
    for kept in (0, DEEP_POINTS):
        yield f"in, {kept:>7,} kept   {points_in_per_s(directory, kept):>12,.0f} points/s"
    yield f"out               {points_out_per_s(directory):>12,.0f} points/s"
    yield f"extra memory      {extra_memory_bytes(directory) / 2**20:>12.1f} MiB"
    for words, bound in (("offline at 65/s  ", BOUND), ("the same, full   ", DEFAULT_BOUND)):
        written = offline_bytes_per_s(directory, bound=bound)
        yield f"{words} {written / 1000:>12.1f} kB/s, {written * YEAR_S / 1e12:.2f} TB a year"


if __name__ == "__main__":
    main(sys.argv[1:])
