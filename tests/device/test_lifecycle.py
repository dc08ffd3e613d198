"""How a client begins, how it is told to keep what waits, how it is flushed, and how it ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus import AuthenticationError, ConfigurationError, Plexus, PlexusError
from plexus.adapters.buffer.memory import MemoryBuffer
from plexus.adapters.runs.memory import MemoryRunRegistry
from plexus.adapters.status.memory import MemoryStatus
from plexus.adapters.transport.memory import MemoryTransport
from plexus.client import ending
from tests.support.peer import KEY, Gateway, serving
from tests.support.rig import ListBuffer
from tests.support.waiting import eventually


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving(Gateway()) as served:
        yield served


def client(gateway: Gateway | None = None, **changes: Any) -> Plexus:
    told: dict[str, Any] = {
        "api_key": KEY,
        "source_id": "drone-01",
        "transport": MemoryTransport() if gateway is None else gateway.socket,
        "runs": MemoryRunRegistry(),
        "status": MemoryStatus(),
        **changes,
    }
    return Plexus(**told)


# --- how to keep what waits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "durability", "spool"),
    [
        ({}, "spool", "disk"),
        ({"durability": "spool"}, "spool", "disk"),
        ({"durability": "strict"}, "strict", "disk"),
        ({"durability": "memory"}, "memory", "memory"),
        ({"persistent_buffer": False}, "memory", "memory"),
        ({"persistent_buffer": True}, "spool", "disk"),
        ({"persistent_buffer": True, "durability": "strict"}, "strict", "disk"),
        ({"persistent_buffer": False, "durability": "memory"}, "memory", "memory"),
    ],
)
def test_what_waits_is_kept_as_the_program_asked(arguments: dict[str, Any], durability: str, spool: str) -> None:
    px = client(**arguments)
    stats = px.stats()
    px.close(0.0)
    assert (stats.durability, stats.spool) == (durability, spool)


def test_memory_puts_nothing_on_disk(home: Path) -> None:
    px = client(durability="memory")
    px.send("m", 1)
    px.flush(0.1, durable=True)
    px.close(0.0)
    assert not (home / ".plexus" / "spool").exists()


def test_an_argument_wins_over_the_config_file(home: Path) -> None:
    (home / ".plexus").mkdir()
    (home / ".plexus" / "config.json").write_text('{"persistent_buffer": false}')
    px = client(durability="strict")
    assert px.stats().durability == "strict"
    px.close(0.0)


@pytest.mark.parametrize("word", ["disk", "", "SPOOL", 1, True])
def test_a_durability_that_is_none_is_refused_with_the_three_that_are(word: Any) -> None:
    with pytest.raises(ConfigurationError, match="'spool', 'strict' or 'memory'"):
        client(durability=word)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"durability": "memory", "persistent_buffer": True}, "contradict each other"),
        ({"durability": "spool", "persistent_buffer": False}, "contradict each other"),
        ({"durability": "strict", "persistent_buffer": False}, "contradict each other"),
        ({"durability": "memory", "buffer_path": "points.db"}, "leave buffer_path out"),
        ({"durability": "strict", "buffer": MemoryBuffer(10)}, "does not fit the buffer"),
        ({"durability": "memory", "buffer": ListBuffer()}, "does not fit the buffer"),
    ],
)
def test_a_choice_that_contradicts_another_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        client(**arguments)


def test_strict_sends_nothing_before_it_is_kept(gateway: Gateway) -> None:
    buffer = ListBuffer()
    with client(gateway, durability="strict", buffer=buffer) as px:
        px.send("m", 1)
        assert px.flush(10.0)
    assert buffer.appends >= 1


def test_the_default_keeps_nothing_of_what_is_acknowledged_at_once(gateway: Gateway) -> None:
    buffer = ListBuffer()
    with client(gateway, buffer=buffer) as px:
        eventually(lambda: px.stats().link)
        px.send("m", 1)
        eventually(lambda: px.stats().delivered == 1)
    assert gateway.values() == [1]


# --- errors -------------------------------------------------------------------------------------------------


def test_on_error_hears_of_a_refused_key(gateway: Gateway) -> None:
    gateway.refusal = ("invalid_api_key", "invalid API key")
    heard: list[PlexusError] = []
    px = client(gateway, on_error=heard.append)
    with contextlib.suppress(AuthenticationError):  # it may have been refused already
        px.send("m", 1)
    eventually(lambda: heard)
    px.close(0.0)
    assert "PLEXUS_API_KEY" in str(heard[0])
    assert KEY not in str(heard[0])


def test_on_error_that_fails_ends_no_delivery(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.refusal = ("invalid_api_key", "invalid API key")
    told = threading.Event()

    def fail(_error: PlexusError) -> None:
        told.set()
        raise RuntimeError("the program's own mistake")

    px = client(gateway, on_error=fail)
    with contextlib.suppress(AuthenticationError):  # it may have been refused already
        px.send("m", 1)
    assert told.wait(10.0)
    eventually(lambda: "on_error failed" in caplog.text)
    assert px.buffer_size() == 1
    px.close(0.0)


def test_on_error_must_be_callable() -> None:
    with pytest.raises(ConfigurationError, match="on_error must be a function of one error, not str"):
        client(on_error="print")


# --- flush --------------------------------------------------------------------------------------------------


def test_flush_waits_until_all_is_delivered(gateway: Gateway) -> None:
    with client(gateway) as px:
        for value in range(100):
            px.send("m", value)
        assert px.flush() is True
        assert gateway.values() == list(range(100))


def test_flush_gives_up_after_the_time_it_was_given(gateway: Gateway) -> None:
    gateway.answers = False
    px = client(gateway)
    px.send("m", 1)
    began = time.monotonic()
    assert px.flush(0.3) is False
    assert time.monotonic() - began >= 0.3
    px.close(0.0)


def test_a_durable_flush_is_content_with_the_disk() -> None:
    px = client()
    px.send("m", 1)
    assert px.flush(20.0, durable=True) is True
    assert px.stats().buffered == 1
    px.close(0.0)


def test_a_flush_without_a_limit_ends_with_close() -> None:
    px = client()
    px.send("m", 1)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(px.flush()))
    waiting.start()
    px.close(0.1)
    waiting.join(10.0)
    assert answers == [False]


def test_a_flush_after_close_says_at_once_whether_anything_is_left(gateway: Gateway) -> None:
    px = client(gateway)
    px.close()
    px.flush()


# --- the end ------------------------------------------------------------------------------------------------


@pytest.fixture
def swallowing() -> Iterator[str]:
    """An address at which connections are taken and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"ws://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("network", ["swallowing", "refusing"])
@pytest.mark.parametrize("timeout", [0.0, 2.0])
def test_close_returns_in_its_time_whatever_the_network_does(
    network: str, timeout: float, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(network)
    px = Plexus(api_key=KEY, source_id="drone-01", ws_url=url, status=MemoryStatus())
    for value in range(1_000):
        px.send("m", value)
    began = time.monotonic()
    px.close(timeout)
    # One flush of the disk beside it, and a busy machine.
    assert time.monotonic() - began < timeout + 1.5
    assert px.stats().dropped == {}


def test_close_from_two_threads_ends_once_and_both_wait(gateway: Gateway) -> None:
    px = client(gateway)
    px.send("m", 1)
    closing = [threading.Thread(target=px.close) for _ in range(2)]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(10.0)
    assert not any(thread.is_alive() for thread in closing)
    assert gateway.values() == [1]


# --- SIGTERM ------------------------------------------------------------------------------------------------


@pytest.fixture
def untouched() -> Iterator[None]:
    """SIGTERM as it is in a program that does not care, and afterwards as it was."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("untouched")
def test_sigterm_is_handled_from_the_first_client_to_the_last() -> None:
    first, second = client(), client()
    assert signal.getsignal(signal.SIGTERM) is ending._terminated
    first.close(0.0)
    assert signal.getsignal(signal.SIGTERM) is ending._terminated
    second.close(0.0)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_a_handler_of_the_programs_own_stays(handler: Any) -> None:
    signal.signal(signal.SIGTERM, handler)
    px = client()
    assert signal.getsignal(signal.SIGTERM) is handler
    px.close(0.0)
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.usefixtures("untouched")
def test_a_handler_that_comes_later_is_not_taken_out() -> None:
    px = client()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    px.close(0.0)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


@pytest.mark.usefixtures("untouched")
def test_a_client_of_another_thread_touches_no_signal() -> None:
    made: list[Plexus] = []
    thread = threading.Thread(target=lambda: made.append(client()))
    thread.start()
    thread.join(10.0)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    made[0].close(0.0)
