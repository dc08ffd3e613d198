"""The whole path in memory: device, gateway, reader, with no socket anywhere."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from plexus import NotFoundError
from plexus.testing.memory import MemoryHouse
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def no_internet_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that would open one fails; pairs of local pipes, which event loops wake themselves with, are no wires."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_arguments: pytest.fail("a socket was connected"))
    monkeypatch.setattr(socket.socket, "bind", lambda *_arguments: pytest.fail("a socket was bound"))


def test_a_reading_travels_from_a_device_to_a_reader_without_a_socket() -> None:
    with MemoryHouse() as house:
        with house.device("drone-01") as px:
            px.send("battery.voltage", 12.4)
            px.send("robot.state", "RUNNING")
            px.event("mode.changed", {"to": "auto"})
            assert px.flush_buffer()
        api = house.reader()
        assert api.metrics.latest("drone-01") == {"battery.voltage": 12.4, "robot.state": "RUNNING"}
        assert [event.value for event in api.events.list("drone-01", last="1h")] == [{"to": "auto"}]
        assert [source.source_id for source in api.sources.list()] == ["drone-01"]


def test_a_link_that_is_cut_loses_nothing_and_stores_nothing_twice() -> None:
    with MemoryHouse() as house:
        transport = house.transport()
        with house.device("drone-01", transport=transport) as px:
            for number in range(300):
                px.send("motor.rpm", number, timestamp=1_746_969_660_000 + number)
                if number % 50 == 0:
                    transport.peer.break_()
            eventually(px.flush_buffer, 30.0, "delivery")
        result = house.reader().metrics.query(
            "drone-01", "motor.rpm", start=1_746_969_660_000, end=1_746_969_661_000, interval="raw"
        )
        assert list(getattr(result["motor.rpm"], "value")) == list(range(300))  # noqa: B009 - raw series of a union


def test_a_command_reaches_the_device_and_its_handler() -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    with MemoryHouse() as house, house.device("drone-01") as px:
        px.on_command("reboot", lambda name, params: heard.append((name, params)))
        px.send("battery.voltage", 12.4)
        assert px.flush_buffer()
        assert house.reader().commands.send("drone-01", "reboot", {"delay_s": 3})
        eventually(lambda: heard == [("reboot", {"delay_s": 3})], what="the command")


def test_a_source_that_never_sent_is_not_found() -> None:
    with MemoryHouse() as house, pytest.raises(NotFoundError):
        house.reader().sources.get("nobody")
