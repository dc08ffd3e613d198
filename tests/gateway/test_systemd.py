"""What systemd hears on its socket, and the unit that is printed."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus.gateway.systemd import Notifier, Unit
from tests.support.gateway import KEY, PATIENCE_S


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE_S)
        yield sock


def heard(systemd: socket.socket, wanted: str) -> str:
    """What is said, passing over what is not `wanted`."""
    while not (said := systemd.recv(4096).decode()).startswith(wanted):
        pass
    return said


def test_a_service_says_what_it_does(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    notifier.ready()
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    said = [systemd.recv(4096).decode() for _ in range(4)]
    assert [text.partition("\n")[0] for text in said] == ["READY=1", "WATCHDOG=1", "RELOADING=1", "STOPPING=1"]
    assert said[2].partition("\n")[2].startswith("MONOTONIC_USEC=")


def test_an_abstract_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"plexus-test-{os.getpid()}"
        sock.bind("\0" + name)
        sock.settimeout(PATIENCE_S)
        Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert sock.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_said_and_nothing_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier({}).ready()
    assert not caplog.records
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()
    assert "systemd does not hear READY" in caplog.text


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog_s == seconds


def test_plexus_serve_tells_systemd_from_start_to_end(systemd: socket.socket, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "200000",
        "PLEXUS_BOOTSTRAP_KEY": KEY,
    }
    words = [sys.executable, "-c", "import plexus.cli as c; raise SystemExit(c.main())", "serve", "--port", "0"]
    with subprocess.Popen(
        [*words, "--data", str(tmp_path / "data")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        heard(systemd, "READY=1")
        heard(systemd, "WATCHDOG=1")
        heard(systemd, "WATCHDOG=1")
        process.send_signal(signal.SIGHUP)
        heard(systemd, "RELOADING=1")
        heard(systemd, "READY=1")
        process.send_signal(signal.SIGTERM)
        heard(systemd, "STOPPING=1")
        assert process.wait(PATIENCE_S) == 0


def parsed(unit: Unit) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    parser.read_string(unit.text())
    return parser["Service"]


class TestUnit:
    def test_it_runs_this_program_with_these_options(self) -> None:
        service = parsed(Unit(Path("/opt/plexus/bin/plexus"), Path("/var/lib/plexus"), ("--host", "0.0.0.0")))
        assert service["ExecStart"] == "/opt/plexus/bin/plexus serve --data /var/lib/plexus --host 0.0.0.0"
        assert (service["Type"], service["User"], service["Restart"]) == ("notify", "plexus", "always")
        assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
        for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictNamespaces"):
            assert service[name] == "yes"
        assert service["ProtectSystem"] == "strict"
        assert int(service["TimeoutStopSec"]) > 5

    def test_data_under_var_lib_is_made_by_systemd(self) -> None:
        service = parsed(Unit(Path("/opt/plexus"), Path("/var/lib/fleet/plexus")))
        assert (service["StateDirectory"], service["StateDirectoryMode"]) == ("fleet/plexus", "0700")

    def test_data_elsewhere_is_writable(self) -> None:
        service = parsed(Unit(Path("/opt/plexus"), Path("/srv/plexus")))
        assert service["ReadWritePaths"] == "/srv/plexus"
        assert "StateDirectory" not in service

    def test_a_key_file_is_handed_over_by_systemd(self) -> None:
        service = parsed(Unit(Path("/opt/plexus"), Path("/var/lib/plexus"), key_file=Path("/etc/plexus/first.key")))
        assert service["LoadCredential"] == "first.key:/etc/plexus/first.key"
        assert service["ExecStart"].endswith("--bootstrap-key-file %d/first.key")

    def test_a_program_in_a_home_can_be_read(self) -> None:
        assert parsed(Unit(Path("/home/me/plexus"), Path("/var/lib/plexus")))["ProtectHome"] == "read-only"
        assert parsed(Unit(Path("/opt/plexus"), Path("/home/me/data")))["ProtectHome"] == "no"

    def test_what_systemd_would_read_in_its_own_way_is_quoted(self) -> None:
        service = parsed(Unit(Path("/opt/my plexus"), Path("/srv/100%"), ("--set", "log.format=$x")))
        assert service["ExecStart"] == '"/opt/my plexus" serve --data /srv/100%% --set log.format=$$x'

    @pytest.mark.parametrize("unit", [Unit(Path(sys.executable), Path("/var/lib/plexus"), key_file=Path("/etc/k"))])
    def test_systemd_itself_finds_nothing_wrong(self, unit: Unit, tmp_path: Path) -> None:
        """Where systemd-analyze is there; elsewhere it is only read as a file of keys and values."""
        file = tmp_path / "plexus-gateway.service"
        file.write_text(unit.text().replace("User=plexus\nGroup=plexus\n", "User=root\n"))
        assert parsed(unit)
        analyze = shutil.which("systemd-analyze")
        if analyze is not None:
            found = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True, check=False)
            assert found.returncode == 0, found.stderr

    def test_systemd_itself_finds_it_hardly_exposed(self, tmp_path: Path) -> None:
        """0 is an offline program in a cage, 10 a root's; what is left here is the network, which a gateway is for."""
        file = tmp_path / "plexus-gateway.service"
        file.write_text(Unit(Path(sys.executable), Path("/var/lib/plexus")).text())
        analyze = shutil.which("systemd-analyze")
        if analyze is None or "--offline" not in _told(analyze, "--help"):
            pytest.skip("systemd-analyze is not there, or too old to judge a unit that is not loaded")
        found = _told(analyze, "security", "--offline=true", "--no-pager", str(file))
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", found)
        assert level is not None, found
        assert float(level[1]) <= 2.0, found


def _told(analyze: str, *words: str) -> str:
    """What systemd-analyze prints; how it ends says something else."""
    found = subprocess.run([analyze, *words], capture_output=True, text=True, check=False)
    return found.stdout + found.stderr
