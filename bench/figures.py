"""Numbers out of measurements, and tables out of numbers."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

RUNS = 5


def percentile(ordered: Sequence[int], share: float) -> int:
    """The value below which `share` (0 to 1) of an ascending sequence lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Sequence[float]) -> float:
    """The middle of several runs."""
    return statistics.median(values)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """What was measured on, without a name that leads anywhere."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    parts = [f"{os.cpu_count()} cores", model or platform.machine(), platform.system()]
    return ", ".join([*parts, f"Python {platform.python_version()}"])
