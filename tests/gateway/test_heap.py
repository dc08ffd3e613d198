"""The C library's heap: what is free goes back to the system, where the library can do that."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from plexus.gateway import heap

PROGRAM = """
from pathlib import Path
from plexus.gateway import heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

heap.use_few_arenas()
kept = [bytes(100_000 - 64 * n % 4_096) for n in range(2_000)]
# The last ones stay, so that nothing at the heap's end is free and glibc keeps all of it by itself.
kept[:1_900] = []
before = resident()
heap.trim()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
def test_pages_that_nobody_uses_go_back() -> None:
    environment = {"MALLOC_MMAP_THRESHOLD_": "1000000", "PATH": ""}
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
    assert int(told.stdout) * 4_096 > 100_000_000


def test_a_library_without_these_functions_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    heap.use_few_arenas()
    heap.trim()


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(_name: object) -> object:
        raise OSError("there is none")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    heap.use_few_arenas()
    heap.trim()
