"""A gateway's memory: garbage is looked for at its own pace, and what is free goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plexus.gateway import Gateway, heap
from tests.support.gateway import KEY

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


def test_the_collector_looks_seldom_while_serving_and_as_before_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int]] = []
    before = gc.get_threshold()
    monkeypatch.setattr(Gateway, "_run", lambda _self, *_besides: seen.append(gc.get_threshold()))
    assert threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    Gateway(data_dir=tmp_path / "data", bootstrap_key=KEY).serve_forever()
    assert seen == [heap.THRESHOLDS]
    assert gc.get_threshold() == before
    assert signal.getsignal(signal.SIGTERM) is handler
    assert gc.get_freeze_count() == 0


def test_garbage_is_looked_for_among_what_is_new_and_now_and_then_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) > 2 * heap.LOOKS_A_ROUND:
            raise asyncio.CancelledError

    monkeypatch.setattr(gc, "collect", looks.append)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(heap.collect(sleep))
    one_round = [1] * (heap.LOOKS_A_ROUND - 1) + [2]
    assert looks == one_round * 2
    assert set(waited) == {heap.LOOK_S}


def test_a_served_gateway_looks_for_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(Gateway, "_run", lambda _self, *besides: given.extend(besides))
    Gateway(data_dir=tmp_path / "data", bootstrap_key=KEY).serve_forever()
    assert given == [heap.collect]
