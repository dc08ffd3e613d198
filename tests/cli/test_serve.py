from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect

from plexus.cli import extra
from plexus.gateway import Gateway
from tests.cli.conftest import Command
from tests.support.servers import AUTHORITY, CERTS
from tests.support.waiting import eventually

PLEXUS = Path(sys.executable).with_name("plexus.exe" if sys.platform == "win32" else "plexus")
KEY = "plx_bootstrap_key_of_this_test_0123456789"


class Serving:
    """`plexus serve` in a process; `program` is what takes the command line."""

    def __init__(self, *words: str, program: Sequence[str | Path] = (PLEXUS,), **variables: str) -> None:
        self.process = subprocess.Popen(
            [*program, "serve", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        self.url = self.process.stdout.readline().strip().removeprefix("export PLEXUS_URL=")
        self.third = self.process.stdout.readline().strip()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        self.process.communicate(timeout=30)
        return self.process.returncode

    def takes(self, key: str) -> bool:
        answer = httpx.get(f"{self.url}/v1/sources", headers={"x-api-key": key}, timeout=30)
        return answer.status_code == 200


@pytest.fixture
def processes() -> Iterator[list[Serving]]:
    started: list[Serving] = []
    yield started
    for one in started:
        one.process.kill()
        one.process.communicate()


def test_the_first_start_prints_what_a_device_needs(processes: list[Serving], tmp_path: Path) -> None:
    served = Serving("--data", str(tmp_path / "data"))
    processes.append(served)
    assert str(tmp_path / "data") in served.first
    key = served.third.removeprefix("export PLEXUS_API_KEY=")
    assert served.takes(key)
    assert not served.takes("plx_another")
    assert served.end() == 0


def test_the_next_start_does_not_show_the_key_again(processes: list[Serving], tmp_path: Path) -> None:
    first = Serving("--data", str(tmp_path))
    processes.append(first)
    key = first.third.removeprefix("export PLEXUS_API_KEY=")
    first.end()
    second = Serving("--data", str(tmp_path))
    processes.append(second)
    assert second.takes(key)
    assert second.third.startswith("# PLEXUS_API_KEY")
    assert key not in second.third


def test_a_first_key_can_come_from_a_file_or_the_environment(processes: list[Serving], tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    from_file = Serving("--data", str(tmp_path / "a"), "--bootstrap-key-file", str(tmp_path / "key"))
    from_environment = Serving("--data", str(tmp_path / "b"), PLEXUS_BOOTSTRAP_KEY=KEY)
    processes.extend([from_file, from_environment])
    assert from_file.takes(KEY)
    assert from_environment.takes(KEY)
    assert KEY not in from_file.first + from_file.third


def test_ctrl_c_ends_it_with_130(processes: list[Serving], tmp_path: Path) -> None:
    served = Serving("--data", str(tmp_path))
    processes.append(served)
    assert served.end(signal.SIGINT) == 130


@pytest.mark.parametrize("key", ["plx_short", "no_prefix_but_more_than_thirty_two_characters"])
def test_a_bad_first_key_is_refused_in_one_line_without_it(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("PLEXUS_BOOTSTRAP_KEY", key)
    ended = plexus("serve", "--port", "0", "--data", str(tmp_path))
    assert ended.code == 1
    assert "PLEXUS_BOOTSTRAP_KEY" in ended.err
    assert key not in ended.err
    assert ended.err.count("\n") == 1


def test_a_key_file_that_is_not_there_is_named(plexus: Command, tmp_path: Path) -> None:
    ended = plexus("serve", "--port", "0", "--data", str(tmp_path), "--bootstrap-key-file", str(tmp_path / "none"))
    assert ended.code == 1
    assert str(tmp_path / "none") in ended.err


def test_a_port_in_use_is_one_line_and_exit_1(plexus: Command, tmp_path: Path) -> None:
    with Gateway() as other:
        ended = plexus("serve", "--port", str(other.port), "--data", str(tmp_path / "data"))
    assert ended.code == 1
    assert str(other.port) in ended.err
    assert ended.err.count("\n") == 1


def test_a_directory_that_another_gateway_holds_is_one_line_and_exit_1(plexus: Command, tmp_path: Path) -> None:
    with Gateway(tmp_path):
        ended = plexus("serve", "--port", "0", "--data", str(tmp_path))
    assert ended.code == 1
    assert str(tmp_path) in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("words", [("serve",), ("demo",), ("keys", "list")])
def test_without_the_extra_it_says_what_to_install(
    plexus: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    ended = plexus(*words)
    assert ended.code == 1
    assert "uvicorn" in ended.err
    assert 'pip install -e ".[gateway]"' in ended.err
    assert ended.err.count("\n") == 1


class TestSettings:
    def test_every_setting_is_shown_and_can_be_fed_back(self, plexus: Command, tmp_path: Path) -> None:
        words = ("--data", str(tmp_path / "data"), "--port", "9000", "--log-format", "json")
        shown = plexus("serve", *words, "--set", "retention.days=30", "--show-config")
        assert shown.code == 0
        assert "port = 9000  # --port" in shown.out
        assert "days = 30  # --set retention.days" in shown.out
        file = tmp_path / "gateway.toml"
        file.write_text(shown.out)
        again = plexus("serve", "--config", str(file), "--show-config")
        kept = [line.split("  # ")[0] for line in shown.out.splitlines()]
        assert [line.split("  # ")[0] for line in again.out.splitlines()] == kept
        assert not (tmp_path / "data").exists()

    def test_no_secret_is_shown(self, plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLEXUS_BOOTSTRAP_KEY", KEY)
        monkeypatch.setenv("PLEXUS_API_KEY", KEY)
        shown = plexus("serve", "--data", str(tmp_path), "--show-config")
        assert shown.code == 0
        assert KEY not in shown.out + shown.err

    def test_a_setting_that_is_none_is_one_line_and_exit_1(self, plexus: Command, tmp_path: Path) -> None:
        for words in (("--set", "prot=1"), ("--set", "port=x"), ("--tls-cert", "a.pem")):
            ended = plexus("serve", "--data", str(tmp_path), *words)
            assert ended.code == 1
            assert words[1].partition("=")[0] in ended.err or "--tls-cert" in ended.err
            assert ended.err.count("\n") == 1

    def test_a_unit_has_these_options_in_it(self, plexus: Command, tmp_path: Path) -> None:
        (tmp_path / "first.key").write_text(KEY)
        printed = plexus(
            "serve", "--host", "0.0.0.0", "--set", "retention.days=400", "--bootstrap-key-file",
            str(tmp_path / "first.key"), "--print-unit",
        )  # fmt: skip
        assert printed.code == 0
        (start,) = [line for line in printed.out.splitlines() if line.startswith("ExecStart=")]
        assert start == (
            f"ExecStart={PLEXUS} serve --data /var/lib/plexus --host 0.0.0.0 --set retention.days=400 "
            "--bootstrap-key-file %d/first.key"
        )
        assert "StateDirectory=plexus" in printed.out
        assert KEY not in printed.out

    def test_log_level_changes_with_a_reload(self, processes: list[Serving], tmp_path: Path) -> None:
        (tmp_path / "gateway.toml").write_text('[log]\nlevel = "warning"\nformat = "json"\n')
        served = Serving("--data", str(tmp_path), PLEXUS_BOOTSTRAP_KEY=KEY)
        processes.append(served)
        assert served.takes(KEY)
        (tmp_path / "gateway.toml").write_text('[log]\nlevel = "info"\nformat = "json"\n')
        served.process.send_signal(signal.SIGHUP)
        assert served.process.stderr is not None
        assert "read again" in json.loads(served.process.stderr.readline())["message"]
        assert served.end() == 0


UNWATCHED = """
import sys
from plexus.cli import main
from plexus.gateway import running

running.KEYS_WATCHED_S = 3600.0
sys.exit(main(sys.argv[1:]))
"""
"""`plexus`, whose gateway looks at its keys once an hour: what ends a socket sooner is a reload."""


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A file with a certificate of AUTHORITY and its key, which can be exchanged."""
        return Path(shutil.copy(CERTS / "server.pem", tmp_path / "server.pem"))

    @pytest.fixture
    def secure(self, processes: list[Serving], certificate: Path, tmp_path: Path) -> Serving:
        words = ("--data", str(tmp_path / "data"), "--tls-cert", str(certificate), "--tls-key", str(certificate))
        served = Serving(*words, program=[sys.executable, "-c", UNWATCHED], PLEXUS_BOOTSTRAP_KEY=KEY)
        processes.append(served)
        return served

    def test_flags_are_enough_for_https_that_its_authority_vouches_for(self, secure: Serving) -> None:
        assert secure.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=AUTHORITY)
        assert httpx.get(f"{secure.url}/healthz", verify=trusting, trust_env=False, timeout=30).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{secure.url}/healthz", trust_env=False, timeout=30)
        assert secure.end() == 0

    def test_sighup_takes_a_new_certificate_and_ends_sockets_whose_key_was_revoked(
        self, secure: Serving, certificate: Path, plexus: Command, tmp_path: Path
    ) -> None:
        data = ("--data", str(tmp_path / "data"))
        made = json.loads(plexus("keys", "create", "visitor", "--scope", "write", "--json", *data).out)
        before = _shown(secure.url)

        async def work() -> None:
            address = secure.url.replace("http", "ws", 1) + "/ws/device"
            async with connect(address, ssl=ssl.create_default_context(cafile=AUTHORITY), proxy=None) as link:
                await link.send(json.dumps({"type": "device_auth", "api_key": made["key"], "source_id": "rig-01"}))
                assert json.loads(await link.recv())["type"] == "authenticated"
                shutil.copy(CERTS / "self_signed.pem", certificate)
                assert plexus("keys", "revoke", made["key_id"], *data).code == 0
                assert _shown(secure.url) == before
                secure.process.send_signal(signal.SIGHUP)
                assert json.loads(await link.recv())["type"] == "error"

        asyncio.run(asyncio.wait_for(work(), 30))
        assert _shown(secure.url) != before
        assert secure.end() == 0


def _shown(url: str) -> str:
    """The certificate that a new connection gets."""
    parts = urlsplit(url)
    return ssl.get_server_certificate((str(parts.hostname), parts.port or 0), timeout=30)


def test_a_log_is_no_place_for_the_first_key(tmp_path: Path) -> None:
    """Under systemd stdout is the journal."""
    out = (tmp_path / "journal").open("w+")
    stat = os.fstat(out.fileno())
    words = [str(PLEXUS), "serve", "--port", "0", "--data", str(tmp_path / "data")]
    environment = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    with out, subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL, env=environment) as process:
        eventually(lambda: "first key lies in" in (tmp_path / "journal").read_text())
        process.terminate()
    assert "plx_" not in (tmp_path / "journal").read_text()
    file = tmp_path / "data" / "first.key"
    assert file.read_text().startswith("plx_")
    assert file.stat().st_mode & 0o777 == 0o600
