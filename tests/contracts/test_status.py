"""Both status sinks keep the contract, and the contract catches sinks that do not."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from plexus.adapters.status.memory import MemoryStatus
from plexus.adapters.status.stderr import PREFIX, StderrStatus
from plexus.ports.status import StatusSink
from plexus.testing.contracts import failures
from plexus.testing.contracts.status import StatusContract


class TestMemoryStatus(StatusContract):
    def make(self) -> StatusSink:
        return MemoryStatus()

    def shown(self, sink: StatusSink) -> list[str]:
        assert isinstance(sink, MemoryStatus)
        return sink.lines


class TestStderrStatus(StatusContract):
    @pytest.fixture(autouse=True)
    def _terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def make(self) -> StatusSink:
        self.written = io.BytesIO()
        self.patch.setattr(sys, "stderr", io.TextIOWrapper(self.written, encoding="utf-8"))
        return StderrStatus()

    def shown(self, sink: StatusSink) -> list[str]:
        return [line.removeprefix(PREFIX) for line in self.written.getvalue().decode().splitlines()]


class Late(MemoryStatus):
    """Keeps a line back until the next one comes."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []

    def line(self, text: str) -> None:
        self.lines += self.waiting
        self.waiting = [text]


class Upward(MemoryStatus):
    """Shows the newest line first."""

    def line(self, text: str) -> None:
        self.lines.insert(0, text)


class Strict(MemoryStatus):
    """Raises for what it cannot encode."""

    def line(self, text: str) -> None:
        text.encode()
        super().line(text)


class Private(MemoryStatus):
    """Shows what the main thread says."""

    def line(self, text: str) -> None:
        if threading.current_thread() is threading.main_thread():
            super().line(text)


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (
            Late,
            {
                "test_a_line_is_shown_as_soon_as_it_is_said",
                "test_lines_are_shown_in_order",
                "test_lines_of_several_threads_stay_whole",
                "test_text_that_no_terminal_can_show_does_no_harm",
            },
        ),
        (Upward, {"test_lines_are_shown_in_order", "test_text_that_no_terminal_can_show_does_no_harm"}),
        (Strict, {"test_text_that_no_terminal_can_show_does_no_harm"}),
        (Private, {"test_lines_of_several_threads_stay_whole"}),
    ],
)
def test_the_contract_fails_a_sink_that_is(broken: type[MemoryStatus], caught: set[str]) -> None:
    class Suite(TestMemoryStatus):
        def make(self) -> StatusSink:
            return broken()

    assert set(failures(Suite)) == caught
