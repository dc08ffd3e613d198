"""What every status sink must do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from plexus.ports.status import StatusSink
from plexus.testing.contracts import Contract

LINES = ("✓ Connected to gateway as drone-01", "! Buffering, 12 points so far", "✓ Sending again (via ws)")


class StatusContract(Contract):
    """Override `make` to return a sink, and `shown` to return the lines that it has shown, without any prefix."""

    def make(self) -> StatusSink:
        """A fresh sink."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its status sink")

    def shown(self, sink: StatusSink) -> list[str]:
        """What `sink` has shown so far, oldest first."""
        raise NotImplementedError(f"{type(self).__name__} must say what its status sink has shown")

    @contextmanager
    def sink(self) -> Iterator[StatusSink]:
        """A fresh sink, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_lines_are_shown_in_order(self) -> None:
        with self.sink() as sink:
            for text in LINES:
                sink.line(text)
            assert self.shown(sink) == list(LINES)

    def test_a_line_is_shown_as_soon_as_it_is_said(self) -> None:
        with self.sink() as sink:
            sink.line(LINES[0])
            assert self.shown(sink) == [LINES[0]]

    def test_text_that_no_terminal_can_show_does_no_harm(self) -> None:
        with self.sink() as sink:
            sink.line("a lone surrogate \ud800")
            sink.line(LINES[0])
            assert self.shown(sink)[-1] == LINES[0]

    def test_lines_of_several_threads_stay_whole(self) -> None:
        with self.sink() as sink:
            said = [f"thread {number} says something" for number in range(8)]
            threads = [threading.Thread(target=sink.line, args=(text,)) for text in said]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(self.shown(sink)) == said
