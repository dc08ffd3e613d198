"""What the parts of `Plexus` share: the client behind them."""

from __future__ import annotations

from plexus.client.assembly import Client
from plexus.device.runs import RunBook
from plexus.device.status import StatusLine


class Held:
    """The state that `Plexus` makes and its parts work on."""

    _parts: Client
    _runs: RunBook
    _status: StatusLine

    @property
    def _client(self) -> Client:
        """The client, which delivers; in a forked child it begins to with the first use."""
        self._parts.open()
        return self._parts

    @property
    def source_id(self) -> str:
        """The name that the gateway knows this device by: the one that was asked for, until it assigns another."""
        return self._parts.source_id
