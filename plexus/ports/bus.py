"""The bus port: committed points on their way to live readers, inside one gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from plexus.protocol.columns import Columns


@attrs.frozen(eq=False)
class Published:
    """One source's points of one commit, in their order; `seq` is the commit's number in the store's order."""

    seq: int
    columns: Columns


class Subscription(Protocol):
    """One listener's queue, bounded: one that is slow loses the oldest and `missed` says how many points."""

    @property
    def missed(self) -> int:
        """Points that were dropped because this listener was slow, since the beginning."""
        ...

    @property
    def waiting(self) -> int:
        """Points that wait for `get`."""
        ...

    async def get(self) -> Published:
        """What was committed next of the source, waiting for it; not to be changed by the listener."""
        ...

    def close(self) -> None:
        """No more, please; `get` is not called again. Closing twice is fine."""
        ...


class Bus(Protocol):
    """Publishes after the commit, never before. Used on the gateway's event loop.

    Contract:
    - a subscriber sees what is published after `subscribe`, in order, of its org and source only: all of a source's
      points of one commit together, under the commit's number;
    - every subscriber of a source sees all of it, whatever the others do;
    - `publish` never waits for a listener: when more points wait for one than the bus holds, the oldest go, counted in
      `missed`; what was published last stays, however large it is;
    - what is published is not changed afterwards, neither by the publisher nor by a listener.
    """

    @property
    def head(self) -> int:
        """The number of the commit that was published last; 0 before the first."""
        ...

    def publish(self, seq: int, stored: Sequence[tuple[str, Columns]]) -> None:
        """Hand the points of commit `seq`, each columns with their org, to whoever listens to their sources."""
        ...

    def subscribe(self, org: str, source_id: str) -> Subscription:
        """Start to listen to one source."""
        ...
