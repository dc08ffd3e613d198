"""The part of `Plexus` that takes commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plexus.client.held import Held
from plexus.device.commands import Handler


class Commanding(Held):
    """`on_command`."""

    def on_command(
        self,
        name: str,
        handler: Handler,
        *,
        description: str | None = None,
        params: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Call `handler(name, params)`, on a thread of its own, when this command comes; what it returns is the answer.

        On a connection that is up already the gateway is greeted again, so that it learns of the command.
        """
        self._client.desk.register(name, handler, description=description, params=params)
        self._client.outbox.want_hello()
        self._client.worker.wake()
