"""The bus port: committed points on their way to live readers, inside one gateway."""

from __future__ import annotations

from typing import Protocol

from plexus.protocol.columns import Columns


class Subscription(Protocol):
    """One reader's queue, bounded: a reader that is slow loses the oldest and `missed` says how many points."""

    @property
    def missed(self) -> int:
        """Points that were dropped because this reader was slow, since the beginning."""
        ...

    async def get(self) -> Columns:
        """The next committed points of the source, waiting for them; not to be changed by the reader."""
        ...

    def close(self) -> None:
        """No more, please; `get` is not called again. Closing twice is fine."""
        ...


class Bus(Protocol):
    """Publishes after the commit, never before. Used on the gateway's event loop.

    Contract:
    - a subscriber sees what is published after `subscribe`, in order, of its org and source only;
    - every subscriber of a source sees all of it, whatever the others do;
    - `publish` never waits for a reader: when more points wait for one than the bus holds, the oldest go, counted in
      `missed`; what was published last stays, however large it is;
    - what is published is not changed afterwards, neither by the publisher nor by a reader.
    """

    def publish(self, org: str, columns: Columns) -> None:
        """Hand committed points to whoever reads their sources."""
        ...

    def subscribe(self, org: str, source_id: str) -> Subscription:
        """Start to listen to one source."""
        ...
