from __future__ import annotations

import threading
from typing import Any

import pytest

from plexus.cli.demo_device import SAMPLE_METRIC, DemoDevice
from plexus.cli.machine import Machine
from plexus.domain.errors import AuthenticationError
from tests.cli.test_machine import FakePsutil
from tests.support.waiting import eventually


class FakePlexus:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.events: list[str] = []
        self.enough = threading.Event()

    def send(self, metric: str, value: Any) -> bool:
        self.sent.append((metric, value))
        if (metric, value) == (SAMPLE_METRIC, 3):
            self.enough.set()
        return True

    def event(self, name: str, _data: Any) -> bool:
        self.events.append(name)
        return True


def _device(px: FakePlexus, fake: FakePsutil) -> DemoDevice:
    return DemoDevice(px, Machine(fake), interval_s=0.001)  # type: ignore[arg-type]


def test_it_looks_again_and_again_until_it_is_stopped() -> None:
    px = FakePlexus()
    with _device(px, FakePsutil()) as device:
        assert px.enough.wait(10)
    numbers = [value for metric, value in px.sent if metric == SAMPLE_METRIC]
    assert numbers == list(range(1, device.samples + 1))
    assert device.readings == len(px.sent)
    assert px.events == ["demo.started"]


def test_the_number_of_a_look_comes_last_in_it() -> None:
    px = FakePlexus()
    with _device(px, FakePsutil()):
        assert px.enough.wait(10)
    assert px.sent[-1][0] == SAMPLE_METRIC


def test_what_changes_is_sent_as_events() -> None:
    px, fake = FakePlexus(), FakePsutil()
    with _device(px, fake):
        assert px.enough.wait(10)
        fake.cpu = 99.0
        eventually(lambda: "cpu.busy" in px.events)


def test_what_ends_it_is_kept_for_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    px = FakePlexus()

    def refused(_metric: str, _value: Any) -> bool:
        raise AuthenticationError("the key was revoked")

    monkeypatch.setattr(px, "send", refused)
    with _device(px, FakePsutil()) as device:
        eventually(lambda: device.failure is not None)
    assert isinstance(device.failure, AuthenticationError)
