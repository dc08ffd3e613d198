"""`kill -9` of real devices and of a real gateway, at random instants, under load, over a network that fails too.

The oracle stands outside: a device writes to a pipe what it has sent and when, and the gateway's rows are read back in
the end. FAULT_KILLS (200 in `make test-faults`) is how often each is killed, FAULT_SEED where it begins.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tests.faults.devices import Device, Life, Verdict, judge
from tests.faults.proxy import Mode, Proxy
from tests.support.served import Served
from tests.support.waiting import eventually

KILLS = int(os.environ.get("FAULT_KILLS", "4"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
DEVICES = 3
RATE = 400
_pause = threading.Event()
pytestmark = pytest.mark.timeout(120 + 20 * KILLS)


def replay(test: str) -> str:
    return f"again: FAULT_SEED={SEED} FAULT_KILLS={KILLS} python -m pytest {Path(__file__).name}::{test}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    gateway = Served(tmp_path / "gateway")
    gateway.folder.mkdir()
    gateway.start()
    yield gateway
    gateway.kill()


class Slot:
    """A device that is killed again and again, and the network before it."""

    def __init__(self, served: Served, folder: Path, number: int) -> None:
        self.proxy = Proxy(served.port)
        self.device = Device(folder / f"home{number}", f"drone-{number}", served.key, self.proxy.ws_url)
        self._dice = random.Random(f"{SEED} {number}")
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def begin(self, kills: int) -> None:
        self._thread = threading.Thread(target=self._run, args=(kills,), name="slot")
        self._thread.start()

    def end(self) -> None:
        """Wait for the last kill, then for a last life that delivers what all left behind."""
        assert self._thread is not None
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self.proxy.be("open")
        self.device.start(rate=RATE)
        self.device.finish()

    def stop(self) -> None:
        self.device.stop()
        self.proxy.__exit__()

    def _run(self, kills: int) -> None:
        try:
            for _ in range(kills):
                self._live()
        except BaseException as exc:  # noqa: BLE001 - raised again by the test's own thread
            self._failure = exc

    def _live(self) -> None:
        dice = self._dice
        self.proxy.be(self._mode())
        durability = dice.choice(["spool", "spool", "strict"])
        self.device.start(rate=RATE, durability=durability, flushes=dice.random() < 0.3)
        for _ in range(2):
            _pause.wait(dice.uniform(0.1, 0.6))
            self.proxy.be(self._mode())
        _pause.wait(dice.uniform(0.0, 0.3))
        self.device.kill()

    def _mode(self) -> Mode:
        mode: Mode = self._dice.choice(["open", *get_args(Mode)])
        return mode


def test_a_killed_device_loses_nothing_that_is_older_than_the_promise_says(served: Served, tmp_path: Path) -> None:
    slots = [Slot(served, tmp_path, number) for number in range(DEVICES)]
    try:
        for number, slot in enumerate(slots):
            slot.begin(KILLS // DEVICES + (number < KILLS % DEVICES))
        for slot in slots:
            slot.end()
        verdict = judge(served, [slot.device for slot in slots])
    finally:
        for slot in slots:
            slot.stop()
    verdict.say(f"{KILLS} kills")
    assert sum(life.killed_ns is not None for slot in slots for life in slot.device.lives) == KILLS
    verdict.check(replay("test_a_killed_device_loses_nothing_that_is_older_than_the_promise_says"))


def test_a_killed_gateway_loses_nothing_that_it_acknowledged(served: Served, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    devices = [
        Device(tmp_path / f"home{number}", f"drone-{number}", served.key, f"ws://127.0.0.1:{served.port}")
        for number in range(DEVICES)
    ]
    try:
        for device in devices:
            device.start(rate=RATE)
        for _ in range(KILLS):
            _pause.wait(dice.uniform(0.05, 0.8))
            served.kill()
            served.start()
        for device in devices:
            device.finish()
        verdict = judge(served, devices)
    finally:
        for device in devices:
            device.stop()
    verdict.say(f"{KILLS} kills")
    verdict.check(replay("test_a_killed_gateway_loses_nothing_that_it_acknowledged"))


def test_the_oracle_sees_what_a_device_without_a_spool_loses(served: Served, tmp_path: Path) -> None:
    with Proxy(served.port) as proxy:
        device = Device(tmp_path / "home", "drone-0", served.key, proxy.ws_url)
        try:
            proxy.be("silent")
            life = device.start(rate=RATE, durability="memory")
            eventually(lambda: len(life.sent) > RATE)
            device.kill()
            proxy.be("open")
            device.start(rate=RATE)
            device.finish()
            verdict = judge(served, [device])
        finally:
            device.stop()
    assert verdict.lost
    with pytest.raises(AssertionError, match="lost, such as"):
        verdict.check("")


def test_the_oracle_sees_a_point_that_is_stored_twice() -> None:
    device, life = Device(Path("home"), "drone-0", "", ""), Life("life0", {1: 0, 2: 0})
    verdict = Verdict()
    verdict.judge(device, life, Counter({1: 1, 2: 2}))
    with pytest.raises(AssertionError, match="1 stored twice, such as"):
        verdict.check("")
