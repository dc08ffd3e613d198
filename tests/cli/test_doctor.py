"""`plexus doctor`: what the examination finds, as lines, JSON and an exit code."""

from __future__ import annotations

import json
import sys

import pytest

from plexus.gateway import Gateway
from tests.cli.conftest import Command, in_terminal
from tests.support.servers import dead_port


def test_where_all_is_well_it_is_exit_0(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("doctor")
    assert (ended.code, ended.err) == (0, "all is well\n")
    assert {line.split()[0] for line in ended.out.splitlines()} == {"ok"}
    assert gateway.api_key not in ended.out


def test_what_fails_is_exit_1_with_what_to_do_below(plexus: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_URL", f"http://127.0.0.1:{dead_port()}")
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_key")
    ended = plexus("doctor", "--problems")
    lines = ended.out.splitlines()
    assert ended.code == 1
    assert lines[0].split()[:2] == ["fail", "tcp"]
    assert lines[1].strip() == "-> check that the gateway runs there, and the port"
    assert ended.err.startswith("1 fails, ")


def test_a_warning_alone_is_exit_0(plexus: Command, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = gateway.core.keyring.create("default", "reader", ("read",))
    monkeypatch.setenv("PLEXUS_API_KEY", key)
    ended = plexus("doctor", "--problems")
    assert (ended.code, ended.out.split()[0]) == (0, "warn")


def test_findings_are_json_for_a_program(plexus: Command, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_" + "0" * 40)
    ended = plexus("doctor", "--json")
    findings = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (1, "")
    assert {tuple(finding) for finding in findings} == {("check", "subject", "state", "said", "advice")}
    assert {finding["check"] for finding in findings if finding["state"] == "fail"} == {"key", "data API"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminal of this kind")
def test_in_a_terminal_states_have_colours(gateway: Gateway) -> None:
    assert "\x1b[32mok  \x1b[0m" in in_terminal("doctor")
