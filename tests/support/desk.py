"""A command desk on a clock that the test moves, whose handlers run when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexus.device.commands import CommandDesk, DeskHooks
from plexus.domain.command import CommandOutcome
from plexus.protocol import frames


class Desk:
    """A desk on a clock that the test moves, whose handlers run when the test says so."""

    def __init__(self) -> None:
        self.now = 50.0
        self.jobs: list[Callable[[], None]] = []
        self.answers: list[CommandOutcome] = []
        self.rings = self.greetings = 0
        self.refusals: list[str] = []
        hooks = DeskHooks(self._ring, self._greet, self.refusals.append)
        self.desk = CommandDesk(self.answers.append, self.jobs.append, hooks, lambda: self.now)

    def _ring(self) -> None:
        self.rings += 1

    def _greet(self) -> None:
        self.greetings += 1

    def declare(self, name: str, handler: Callable[..., Any], **told: Any) -> None:
        self.desk.declare(name, handler, told.pop("params", None), **told)

    def order(
        self, command: str, run_id: str = "r1", ttl_ms: float | None = 30_000, attempt: int = 1, **params: Any
    ) -> None:
        self.desk.handle(frames.CommandRun(run_id, command, params, ttl_ms, attempt))

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()

    def said(self) -> list[frames.CommandStatus]:
        return [each for each in self.desk.take() if isinstance(each, frames.CommandStatus)]

    def states(self) -> list[str]:
        return [each.state for each in self.said()]

    def ended(self) -> tuple[str, str | None, str | None]:
        self.work()
        last = self.said()[-1]
        return last.state, last.error_code, last.error_message
