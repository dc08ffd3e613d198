"""`plexus tail`, as a person at a terminal and a program at a pipe see it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from plexus.cli import output
from plexus.cli.spark import MAX_METRICS, Trends, trend
from plexus.cli.tail import tell
from plexus.domain.live import StreamNotice
from plexus.gateway import Gateway
from tests.cli.conftest import PLEXUS, Command, in_terminal, put
from tests.support.waiting import eventually


def values(out: str) -> list[object]:
    return [json.loads(line)["value"] for line in out.splitlines()]


def test_since_begins_earlier_and_count_ends_it(plexus: Command, filled: Gateway) -> None:
    ended = plexus("tail", "drone-01", "battery.voltage", "--since", "5m", "--count", "2", "--json")
    assert (ended.code, values(ended.out)) == (0, [12.5, 12.25])


def test_since_may_be_a_moment(plexus: Command, filled: Gateway) -> None:
    began = str(time.time() - 60)
    ended = plexus("tail", "drone-01", "battery.voltage", "--since", began, "--count", "2", "--json")
    assert values(ended.out) == [12.5, 12.25]


def test_it_ends_by_itself_after_its_time(plexus: Command, filled: Gateway) -> None:
    ended = plexus("tail", "drone-01", "--seconds", "0.05")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_several_sources_are_named_in_their_lines(plexus: Command, filled: Gateway) -> None:
    put(filled, {"metric": "battery.voltage", "value": 7, "timestamp": time.time() * 1000}, source_id="drone-02")
    put(filled, {"metric": "battery.voltage", "value": 8, "timestamp": time.time() * 1000}, source_id="drone-03")
    words = ("battery.voltage", "--since", "5m", "--count", "3")
    lines = plexus("tail", "drone-01,drone-02", *words).out.splitlines()
    assert sorted(tuple(line.split()[2:]) for line in lines) == [
        ("drone-01", "battery.voltage", "12.25"),
        ("drone-01", "battery.voltage", "12.5"),
        ("drone-02", "battery.voltage", "7"),
    ]


def test_without_a_source_it_is_all_of_them(plexus: Command, filled: Gateway) -> None:
    put(filled, {"metric": "cpu.percent", "value": 7, "timestamp": time.time() * 1000}, source_id="drone-02")
    put(filled, {"metric": "cpu.percent", "value": 8, "timestamp": time.time() * 1000}, source_id="drone-03")
    ended = plexus("tail", "--metric", "cpu.percent", "--since", "5m", "--count", "2", "--json")
    assert sorted(map(str, values(ended.out))) == ["7", "8"]


def test_a_device_cannot_steer_the_terminal(plexus: Command, filled: Gateway) -> None:
    ended = plexus("tail", "drone-01", "robot.state", "--since", "5m", "--count", "1")
    assert r"RUN\x1b[2J" in ended.out
    assert "\x1b" not in ended.out


def test_piped_there_is_neither_colour_nor_trend(plexus: Command, filled: Gateway) -> None:
    ended = plexus("tail", "drone-01", "battery.voltage", "--since", "5m", "--count", "2")
    assert ended.out.isascii()
    assert "\x1b" not in ended.out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminal of this kind")
def test_in_a_terminal_each_reading_has_its_trend(filled: Gateway) -> None:
    shown = in_terminal("tail", "drone-01", "battery.voltage", "--since", "5m", "--count", "2")
    first, second = [line for line in shown.splitlines() if line]
    assert "▁" in first
    assert "█▁" in second
    assert "\x1b[" in second


def test_a_reader_that_has_enough_is_no_error(filled: Gateway) -> None:
    put(filled, *({"metric": f"m{index}", "value": "x" * 200, "class": "metric"} for index in range(2000)))
    process = subprocess.Popen(
        [PLEXUS, "tail", "drone-01", "--since", "5m"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), said) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("words", [("tail",), ("events", "--follow"), ("video", "drone-01")])
def test_ctrl_c_ends_what_follows_at_once_and_without_a_word(filled: Gateway, words: tuple[str, ...]) -> None:
    before = len(filled.core.sockets)
    process = subprocess.Popen([PLEXUS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: len(filled.core.sockets) > before, timeout=30, what="the connection")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, "Traceback" in err) == (130, "", False)


@pytest.mark.parametrize(
    "words",
    [("tail", ","), ("tail", "--count", "0"), ("tail", "--seconds", "soon"), ("tail", "drone-01", "--since", "never")],
)
def test_what_cannot_be_asked_is_exit_2(plexus: Command, gateway: Gateway, words: tuple[str, ...]) -> None:
    assert plexus(*words).code == 2


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (
            StreamNotice("lost", "cut", 1, 0.5, source_id="drone-01"),
            "connection lost (drone-01): cut; next try in 0.5 s",
        ),
        (StreamNotice("gateway_reconnecting"), "it goes on by itself"),
        (StreamNotice("filled", count=1200), "1,200 that came meanwhile are from the history"),
    ],
)
def test_how_the_connection_is_doing_is_said(
    capsys: pytest.CaptureFixture[str], notice: StreamNotice, words: str
) -> None:
    tell(notice)
    captured = capsys.readouterr()
    assert (captured.out, words in captured.err) == ("", True)


def test_a_connection_that_is_well_is_not_worth_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    tell(StreamNotice("connected"))
    tell(StreamNotice("filled", count=0))
    assert capsys.readouterr().err == ""


def test_numbers_at_the_ends_of_what_there_is_have_a_trend() -> None:
    assert trend([-1.7e308, 0, 1.7e308]) == "▁▅█"


def test_trends_of_metrics_are_kept_apart_and_not_for_ever() -> None:
    trends = Trends()
    assert trends.after("a", "m", 1) == "▁"
    assert trends.after("b", "m", 5) == "▁"
    assert trends.after("a", "m", 2) == "▁█"
    assert trends.after("a", "state", "RUNNING") == ""
    for index in range(MAX_METRICS):
        trends.after("many", f"m{index}", 1)
    assert trends.after("a", "m", 3) == "▁"


def test_blocks_are_for_terminals_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert output.draws(Terminal())  # type: ignore[arg-type]
    Terminal.encoding = "latin-1"
    assert not output.draws(Terminal())  # type: ignore[arg-type]
    monkeypatch.setenv("TERM", "dumb")
    Terminal.encoding = "utf-8"
    assert not output.draws(Terminal())  # type: ignore[arg-type]
