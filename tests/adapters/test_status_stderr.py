"""Status lines on stderr: quiet when asked, and never in the way."""

from __future__ import annotations

import io
import sys

import pytest

from plexus.adapters.status.stderr import StderrStatus

TEXT = "✓ Connected to gateway as drone-01"


def test_a_line_has_the_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    StderrStatus().line(TEXT)
    assert capsys.readouterr() == ("", f"[plexus] {TEXT}\n")


def test_quiet_is_read_at_the_call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status = StderrStatus()
    for value, expected in (("1", ""), ("true", ""), ("0", f"[plexus] {TEXT}\n"), ("", f"[plexus] {TEXT}\n")):
        monkeypatch.setenv("PLEXUS_QUIET", value)
        status.line(TEXT)
        assert capsys.readouterr().err == expected


def test_a_terminal_without_a_tick_gets_a_plus(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    StderrStatus().line(TEXT + " ü…")
    assert raw.getvalue() == b"[plexus] + Connected to gateway as drone-01 \\xfc...\n"


def test_a_closed_stderr_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    StderrStatus().line(TEXT)


def test_no_stderr_at_all_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    StderrStatus().line(TEXT)


def test_a_broken_pipe_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Broken())
    StderrStatus().line(TEXT)
