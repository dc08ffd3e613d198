from __future__ import annotations

import os
import subprocess
import sys

import pytest

from plexus import __version__
from plexus.cli import app, sources
from plexus.gateway import Gateway
from tests.cli.conftest import PLEXUS, Command, put


def test_the_version_is_shown(plexus: Command) -> None:
    assert plexus("--version").out == f"plexus {__version__}\n"


def test_without_a_command_the_help_is_shown_and_it_is_an_error(plexus: Command) -> None:
    ended = plexus()
    assert ended.code == 2
    assert "examples:" in ended.err


@pytest.mark.parametrize("command", [module.__name__.rpartition(".")[2] for module in app.COMMANDS])
def test_every_command_is_in_the_help_and_has_examples_in_its_own(plexus: Command, command: str) -> None:
    assert f"\n    {command} " in plexus("--help").out
    ended = plexus(command, "--help")
    assert ended.code == 0
    assert "example" in ended.out


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("latest",),
        ("query", "drone-01"),
        ("serve", "--port", "70000"),
        ("demo", "--seconds", "soon"),
        ("keys", "create", "a", "--scope", "fly"),
        ("send", "a.b", "1", "--tag", "colour"),
        ("send", "a.b", "1", "2"),
        ("tail", "drone-01", "--jsno"),
        ("tail", "drone-01", "--json", "a", "--jsno"),
        ("command", "rig", "dose", "--json", "ml"),
    ],
)
def test_a_wrong_call_is_exit_2_with_a_hint(plexus: Command, words: tuple[str, ...]) -> None:
    ended = plexus(*words)
    assert ended.code == 2
    assert "usage:" in ended.err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("tail", "drone-01", "--json", "a", "b"), {"sources": ("drone-01",), "metrics": ["a", "b"]}),
        (("tail", "drone-01", "a", "--json", "b"), {"sources": ("drone-01",), "metrics": ["a", "b"]}),
        (("latest", "--json", "drone-01", "a"), {"source": "drone-01", "metrics": ["a"]}),
        (("query", "drone-01", "a", "--last", "5m", "b"), {"metrics": ["a", "b"], "last": "5m"}),
        (("runs", "compare", "a", "--json", "b"), {"run_ids": ["a", "b"]}),
        (("command", "rig", "--wait", "5", "dose", "ml=5"), {"name": "dose", "params": [("ml", 5)]}),
        (("command", "rig", "dose", "ml=5", "--json", "x=y"), {"params": [("ml", 5), ("x", "y")]}),
    ],
)
def test_options_may_stand_anywhere(words: tuple[str, ...], found: dict[str, object]) -> None:
    arguments = vars(app._parsed(app.parser(), words))
    assert {name: arguments[name] for name in found} == found


def test_a_failure_is_one_line_and_exit_1(plexus: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = plexus("sources")
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("plexus: there is no API key")
    assert ended.err.count("\n") == 1


def test_a_bad_question_is_one_line_and_exit_2(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("query", "drone-01", "rpm", "--interval", "5m")
    assert ended.code == 2
    assert ended.err == "plexus: interval '5m' is not known; use one of raw, 1m, 10m, 1h, 1d\n"


def test_ctrl_c_is_exit_130_without_a_word(plexus: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "run", interrupted)
    ended = plexus("sources")
    assert (ended.code, ended.out, ended.err) == (130, "", "")


def test_a_reader_that_has_enough_is_no_error(gateway: Gateway) -> None:
    # More than a pipe takes, so that writing fails for sure once the other end is closed.
    put(gateway, *({"metric": f"m{index}", "value": "x" * 200, "class": "metric"} for index in range(2000)))
    process = subprocess.Popen(
        [PLEXUS, "latest", "drone-01"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), said) == (0, b"")


def test_the_command_line_loads_nothing_that_a_command_does_not_need() -> None:
    heavy = ["httpx", "duckdb", "litestar", "rich", "psutil", "websocket", "cattrs"]
    code = f"import sys, plexus.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
