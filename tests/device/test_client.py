"""`Plexus` as a program uses it: on its thread, against a gateway in memory; how it is built, delivers and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus import Plexus, RetryConfig
from plexus.adapters.clock.manual import ManualClock
from plexus.adapters.codec.json import JsonCodec
from plexus.adapters.transport.memory import MemoryTransport
from plexus.client.spooling import keep_for_source, note_new_name
from plexus.config import load_settings
from plexus.domain.command import CommandCall
from plexus.domain.errors import AuthenticationError, ConfigurationError, PlexusError
from plexus.protocol.batch import Batch
from tests.device.clients import client
from tests.support.peer import KEY, Gateway, serving
from tests.support.rig import ListBuffer
from tests.support.waiting import eventually


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving(Gateway()) as served:
        yield served


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_QUIET", "1")


# --- delivery -----------------------------------------------------------------------------------------------


def test_a_refused_key_is_raised_by_the_next_send_once_and_its_reading_is_kept(gateway: Gateway) -> None:
    gateway.refusal = ("invalid_api_key", "invalid API key")
    heard: list[PlexusError] = []
    with client(gateway, on_error=heard.append) as px:
        px.send("m", 1)
        eventually(lambda: heard)
        with pytest.raises(AuthenticationError, match="PLEXUS_API_KEY") as caught:
            px.send("m", 2)
        assert KEY not in str(caught.value)
        px.send("m", 3)
        assert px.buffer_size() == 3


def test_stats_tell_what_became_of_the_points(gateway: Gateway) -> None:
    with client(gateway) as px:
        px.send("m", 1)
        assert px.flush_buffer()
        stats = px.stats()
        assert (stats.accepted, stats.delivered, stats.buffered, stats.dropped) == (1, 1, 0, {})
        assert stats.link == "custom"


def test_a_flush_that_cannot_be_ends_with_its_time_out_and_the_data_is_kept(gateway: Gateway) -> None:
    gateway.answers = False
    px = client(gateway)
    px.send("m", 1)
    assert px.flush_buffer(0.2) is False
    assert px.buffer_size() == 1
    px.close(0.0)


def test_close_may_be_called_twice_and_points_after_it_are_counted(gateway: Gateway) -> None:
    px = client(gateway)
    px.close()
    px.close()
    assert px.send("m", 1) is True
    assert px.stats().dropped == {"closed": 1}


def test_close_ends_the_thread(gateway: Gateway) -> None:
    before = set(threading.enumerate())
    px = client(gateway)
    px.send("m", 1)
    px.close()
    eventually(lambda: set(threading.enumerate()) <= before, what="the end of all threads")


def test_the_assigned_name_is_adopted_and_kept_in_the_config(gateway: Gateway, home: Path) -> None:
    gateway.assigned = "drone-01_2"
    with client(gateway) as px:
        eventually(lambda: px.source_id == "drone-01_2")
        px.send("m", 1)
        assert px.flush_buffer()
    assert gateway.stored[0].source_id == "drone-01_2"
    assert load_settings().source_id == "drone-01_2"


def test_a_command_is_run_and_answered(gateway: Gateway) -> None:
    called: list[tuple[str, dict[str, Any]]] = []

    def reboot(name: str, params: dict[str, Any]) -> dict[str, Any]:
        called.append((name, params))
        return {"ok": True}

    with client(gateway) as px:
        px.on_command("reboot", reboot, description="Restart", params=[{"name": "delay_s"}])
        eventually(lambda: gateway.auths and len(gateway.auths[-1].commands) == 1)
        eventually(lambda: gateway.socket.peer.connected and px.stats().link == "custom")
        gateway.call(CommandCall("c1", "reboot", {"delay_s": 3}))
        eventually(lambda: len(gateway.outcomes) == 2)
    assert called == [("reboot", {"delay_s": 3})]
    assert [outcome.event for outcome in gateway.outcomes] == ["ack", "result"]


def test_a_jpeg_is_shown(gateway: Gateway) -> None:
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x02\x00\x03\x03" + b"\0" * 9 + b"\xff\xda\x00\x02\x00\xff\xd9"
    with client(gateway) as px:
        eventually(lambda: px.stats().link)
        assert px.send_video_frame(jpeg, "front") is True
        eventually(lambda: gateway.video)
    assert jpeg in gateway.video[0]


# --- putting it together ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"source_id": "Bad Name"}, "source_id"),
        ({"transport": "carrier-pigeon"}, "'ws', 'http' or a Transport"),
        ({"transport": object()}, "Transport|transport"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "ten"}, "timeout"),
        ({"max_buffer_size": 0}, "max_buffer_size|points|at least"),
        ({"ws_url": "ftp://gateway"}, "ws"),
    ],
)
def test_a_setting_that_cannot_be_right_is_a_value_error_of_the_constructor(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Plexus(**{"api_key": KEY, "source_id": "drone-01", "transport": MemoryTransport(), **arguments})


def test_no_key_is_a_value_error_that_says_how_to_get_one() -> None:
    with pytest.raises(ValueError, match=r"PLEXUS_API_KEY.*plexus init"):
        Plexus(source_id="drone-01")


def test_the_key_is_in_no_repr(gateway: Gateway) -> None:
    with client(gateway) as px:
        shown = "".join(map(repr, (px, px._client, px._client._hello, px._settings, px.stats())))
    assert KEY not in shown


def test_a_device_without_a_name_gets_one_and_keeps_it(gateway: Gateway) -> None:
    with client(gateway, source_id=None) as first:
        name = first.source_id
    with client(gateway, source_id=None) as second:
        assert second.source_id == name
    assert name.startswith("source-")


def test_the_adapters_of_a_program_are_used(gateway: Gateway) -> None:
    clock, spool = ManualClock(wall_ms=1_700_000_000_000.0), ListBuffer()

    class Backwards(JsonCodec):
        """A codec with a form of its own."""

        name = "backwards"

        def encode(self, rows: Any) -> bytes:
            return super().encode(rows)[::-1]

        def decode(self, body: bytes) -> Any:
            return super().decode(body[::-1])

    with client(gateway, clock=clock, buffer=spool, codec=Backwards()) as px:
        px.send("m", "x")
        assert px.flush_buffer()
    assert gateway.stored[0].timestamp_ms == 1_700_000_000_000.0
    assert gateway.values() == ["x"]
    assert spool.closed


def test_over_http_alone(gateway: Gateway) -> None:
    with client(gateway, transport=gateway.http) as px:
        px.send("m", 1)
        assert px.flush_buffer()
    assert gateway.values() == [1]


def test_what_waits_on_disk_is_sent_by_the_next_client_once(gateway: Gateway, home: Path) -> None:
    gateway.answers = False
    first = client(gateway, buffer=None)
    first.send_batch([("m", i) for i in range(100)])
    first.close(0.3)
    assert first.stats().dropped == {}
    gateway.answers = True
    with client(gateway, buffer=None) as second:
        second.send("m", 100)
        assert second.flush_buffer()
    assert sorted(gateway.values(), key=int) == list(range(101))  # type: ignore[arg-type]


def test_what_two_clients_left_is_sent_by_one(gateway: Gateway, home: Path) -> None:
    gateway.answers = False
    clients = [client(gateway, buffer=None, transport=Gateway().socket) for _ in range(2)]
    for value, px in enumerate(clients):
        px.send("m", value)
    for px in clients:
        px.close(0.1)
    gateway.answers = True
    with client(gateway, buffer=None) as px:
        eventually(lambda: len(gateway.stored) == 2)
        eventually(lambda: px.buffer_size() == 0)
    assert sorted(gateway.values(), key=int) == [0, 1]  # type: ignore[arg-type]


def test_what_waits_under_a_former_name_is_found_under_the_assigned_one(tmp_path: Path) -> None:
    said: list[str] = []
    old = keep_for_source(tmp_path, "drone-01", 100, said.append)
    old.own.append([Batch("5" * 32, 1, 1, b"[]", "d")])
    note_new_name(tmp_path, "drone-01", "drone-01_2")
    old.own.close()
    new = keep_for_source(tmp_path, "drone-01_2", 100, said.append)
    assert [spool.points for spool in new.adopted] == [1]
    for spool in (new.own, *new.adopted):
        spool.close()
    assert said == []


def test_a_disk_that_cannot_be_used_means_memory_and_is_said(
    gateway: Gateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no directory")
    with client(gateway, buffer=None, buffer_path=tmp_path / "file" / "spool.db") as px:
        px.send("m", 1)
        assert px.flush_buffer()
    assert "going on in memory" in caplog.text


def test_a_buffer_path_names_the_file(gateway: Gateway, tmp_path: Path) -> None:
    with client(gateway, buffer=None, buffer_path=str(tmp_path / "mine.db")):
        assert (tmp_path / "mine.db").exists()


def test_without_persistent_buffer_nothing_is_written(gateway: Gateway, home: Path) -> None:
    with client(gateway, buffer=None, persistent_buffer=False) as px:
        px.send("m", 1)
        assert px.flush_buffer()
    assert not (home / ".plexus" / "spool").exists()


def test_building_a_client_loads_nothing_heavy() -> None:
    program = (
        "import sys; from plexus import Plexus; from plexus.adapters.transport.memory import MemoryTransport\n"
        "px = Plexus(api_key='plx_x', source_id='drone-01', transport=MemoryTransport(), persistent_buffer=False)\n"
        "px.close(0)\n"
        "heavy = {'httpx', 'numpy', 'pyarrow', 'duckdb', 'PIL', 'msgspec', 'litestar', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_program_that_just_ends_has_delivered() -> None:
    program = """
import atexit, threading
from plexus import Plexus
from tests.support.peer import KEY, Gateway, WallClock

gateway, clock, pause = Gateway(), WallClock(), threading.Event()
atexit.register(lambda: print(gateway.values()))

def serve():
    while True:
        gateway.pump(clock)
        pause.wait(0.002)

threading.Thread(target=serve, daemon=True).start()
Plexus(api_key=KEY, source_id="drone-01", transport=gateway.socket).send("m", 1)
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[1]"


FORKING = """
import os, sys
from plexus import Plexus
from plexus.adapters.transport.memory import MemoryTransport

px = Plexus(api_key="plx_x", source_id="drone-01", transport=MemoryTransport(), persistent_buffer=False)
px.send("m", 1)
child = os.fork()
px.send("m", 2)
if not child:
    px.close()
    print(px.stats().dropped, flush=True)
    os._exit(0)
os.waitpid(child, 0)
px.close(0.1)
print(px.stats().accepted)
"""

if hasattr(os, "fork"):

    def test_a_forked_child_sends_nothing_of_its_parents_and_counts_its_own() -> None:
        done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[:2] == ["{'forked': 1}", "2"]


def test_retry_delays_double_up_to_their_limit() -> None:
    retry = RetryConfig(jitter=False)
    assert [retry.get_delay(attempt) for attempt in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert retry.get_delay(10_000) == 30.0


def test_retry_delays_are_spread_with_jitter() -> None:
    retry = RetryConfig(base_delay=2.0)
    assert retry.get_delay(0, lambda: 0.0) == 1.5
    assert retry.get_delay(0, lambda: 1.0) == 2.5
    assert all(1.5 <= retry.get_delay(0) <= 2.5 for _ in range(50))


@pytest.mark.parametrize(
    "wrong", [{"max_retries": -1}, {"base_delay": 0}, {"max_delay": "30"}, {"exponential_base": 0}]
)
def test_a_retry_setting_that_cannot_be_right_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryConfig(**wrong)
