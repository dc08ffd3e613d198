"""One way to put a question to either client, so that one table of tests serves both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Literal

import attrs

from plexus import AsyncPlexusAPI, PlexusAPI

URL = "http://127.0.0.1:9"
KEY = "plx_canary_of_this_test_never_to_be_seen_anywhere"

Kind = Literal["blocking", "awaited"]
KINDS: tuple[Kind, ...] = ("blocking", "awaited")

Question = Callable[[Any], Any]
"""Asks one of the clients: `lambda api: api.sources.list()`."""


@attrs.frozen
class Ask:
    """Asks with a client of this kind, which is made and closed for each question. `waits` takes what is slept."""

    kind: Kind
    waits: list[float] = attrs.field(factory=list)
    url: str = URL
    key: str = KEY

    def __call__(self, question: Question, **arguments: Any) -> Any:
        if self.kind == "blocking":
            with PlexusAPI(self.key, self.url, sleep=self.waits.append, **arguments) as api:
                return question(api)
        return asyncio.run(self._awaited(question, arguments))

    async def _awaited(self, question: Question, arguments: dict[str, Any]) -> Any:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        async with AsyncPlexusAPI(self.key, self.url, sleep=sleep, **arguments) as api:
            answer = question(api)
            return await answer if inspect.isawaitable(answer) else answer
