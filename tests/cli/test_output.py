from __future__ import annotations

import io
import json
import math

import pytest

from plexus.cli import output


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_colours_are_for_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.paint("x", output.RED, Terminal()) == "\x1b[31mx\x1b[0m"
    assert output.paint("x", output.RED, io.StringIO()) == "x"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_person_can_turn_colours_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert output.paint("x", output.RED, Terminal()) == "x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.0, "12"),
        (0.1 + 0.2, "0.3"),
        (3, "3"),
        (True, "true"),
        ("on", "on"),
        ("a\x1b[2Jb\n", r"a\x1b[2Jb\n"),
        ({"a": [1, math.nan]}, '{"a":[1,"NaN"]}'),
        (math.inf, "inf"),
        (None, "-"),
        ("größe", "größe"),
    ],
)
def test_values_are_short_and_harmless(value: object, text: str) -> None:
    assert output.shown(value) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(1_777_636_800_123.4, "2026-05-01 12:00:00.123Z"), (None, "never"), (1e18, "1000000000000000000 ms")],
)
def test_times_are_in_utc(ms: float | None, text: str) -> None:
    assert output.moment(ms) == text


def test_columns_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("A", "LONG"), [("one", "1"), ("three", "22")])
    assert capsys.readouterr().out == "A      LONG\none    1\nthree  22\n"


def test_json_is_one_line_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    output.json_line({"a": (1.5, math.nan), "b": {"c": -math.inf}})
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, "NaN"], "b": {"c": "-Infinity"}}
