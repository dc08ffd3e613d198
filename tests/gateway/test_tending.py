"""The thread that tends the store."""

from __future__ import annotations

import logging
import queue
import threading

import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.gateway import Gateway, tending
from plexus.gateway.tending import Tending


class Tended(MemoryStore):
    """Says what it is asked, and answers as it is told; afterwards that there is nothing to do."""

    def __init__(self, *answers: bool | Exception) -> None:
        super().__init__()
        self.asked: queue.Queue[int] = queue.Queue()
        self._answers = list(answers)

    def maintain(self, now_ns: int) -> bool:
        self.asked.put(now_ns)
        answer = self._answers.pop(0) if self._answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_it_goes_on_at_once_while_there_is_more_to_do() -> None:
    store = Tended(True, True)
    tend = Tending(store, lambda: 7, idle_s=3_600.0)
    tend.start()
    try:
        assert [store.asked.get(timeout=10) for _ in range(3)] == [7, 7, 7]
    finally:
        tend.stop()
    assert store.asked.empty()


def test_memory_is_given_back_after_work_and_not_all_the_time() -> None:
    store, rests = Tended(True, False, True, False, True), queue.Queue[int]()
    now = [0]

    def rested() -> None:
        rests.put(now[0])
        now[0] += tending.REST_NS // 2

    tend = Tending(store, lambda: now[0], idle_s=0.0, after_work=rested)
    tend.start()
    try:
        assert rests.get(timeout=10) == 0
        for _ in range(6):
            store.asked.get(timeout=10)
        assert rests.empty(), "half of the time is over"
        now[0] = tending.REST_NS
        assert rests.get(timeout=10) == tending.REST_NS
    finally:
        tend.stop()


@pytest.mark.parametrize("trouble", [StoreError("the disk is on fire"), ValueError("a bug")])
def test_trouble_is_said_and_it_goes_on(
    trouble: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "TROUBLE_S", 0.0)
    store = Tended(trouble)
    tend = Tending(store, lambda: 7, idle_s=3_600.0)
    with caplog.at_level(logging.ERROR, logger="plexus.gateway"):
        tend.start()
        assert [store.asked.get(timeout=10) for _ in range(2)] == [7, 7]
        tend.stop()
    assert str(trouble) in caplog.text


def test_stopping_waits_for_the_step_under_way_and_leaves_no_thread() -> None:
    begun, release = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        done = False

        def maintain(self, now_ns: int) -> bool:
            begun.set()
            release.wait(10)
            self.done = True
            return True

    store = Slow()
    tend = Tending(store, lambda: 0)
    tend.start()
    assert begun.wait(10)
    threading.Timer(0.05, release.set).start()
    tend.stop()
    tend.stop()
    assert store.done
    assert not [thread for thread in threading.enumerate() if thread.name == "plexus-tending"]


def test_a_gateway_tends_its_store_for_as_long_as_it_runs() -> None:
    store = Tended()
    with Gateway(store=store):
        assert store.asked.get(timeout=10) > 10**18, "nanoseconds since 1970"
    assert not [thread for thread in threading.enumerate() if thread.name == "plexus-tending"]
