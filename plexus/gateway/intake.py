"""What every message of points passes on its way to the committer, whichever way it came: size, key, names, rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from plexus.gateway.meters import Meters
from plexus.gateway.quotas import Quotas
from plexus.gateway.rates import Bucket, SourceRates
from plexus.ports.keyring import KeyInfo
from plexus.ports.registry import Registry
from plexus.ports.store import Store
from plexus.protocol.columns import Columns, Decoded, PointFault

if TYPE_CHECKING:
    from plexus.gateway.core import Limits

RATE_LIMITED = "RATE_LIMITED"
"""The code of an error for a message that came too soon."""


class Intake:
    """One for the gateway, on its event loop. `quotas.learn` is to be awaited before `admit` is asked."""

    def __init__(
        self, store: Store, registry: Registry, limits: Limits, meters: Meters, monotonic: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._meters = meters
        self._monotonic = monotonic
        self.quotas = Quotas(
            store,
            registry,
            org_sources=limits.org_sources,
            source_metrics=limits.source_metrics,
            org_series=limits.org_series,
        )
        self._sources = SourceRates(limits.source_messages_s, limits.burst_messages, monotonic)

    def admit(self, key: KeyInfo, decoded: Decoded) -> Decoded:
        """What of a message this key may store; the rest becomes faults, counted by reason."""
        bad = len(decoded.faults)
        if bad:
            self._meters.reject("malformed_point", bad)
        if key.source_id is not None:
            decoded = only_source(decoded, key.source_id)
            if len(decoded.faults) > bad:
                self._meters.reject("foreign_source", len(decoded.faults) - bad)
                bad = len(decoded.faults)
        decoded = self.quotas.narrow(key.org, decoded)
        if len(decoded.faults) > bad:
            self._meters.reject("quota", len(decoded.faults) - bad)
        return decoded

    def connection(self) -> Bucket:
        """The bucket of a new connection."""
        limits = self._limits
        return Bucket(limits.connection_messages_s, limits.burst_messages, self._monotonic)

    def in_time(self, org: str, sources: Iterable[str], connection: Bucket | None = None) -> bool:
        """Whether a message that names these sources may come now; one that may not is dropped whole, and counted.

        It takes one of each; where one has none, the others keep theirs.
        """
        buckets = self._buckets(org, sources, connection)
        for taken, bucket in enumerate(buckets):
            if not bucket.take():
                for other in buckets[:taken]:
                    other.give_back()
                self._meters.reject("rate_limited")
                return False
        return True

    def wait_s(self, org: str, sources: Iterable[str], connection: Bucket | None = None) -> float:
        """A message that names these sources is taken; how many seconds its sender is to wait before the next one."""
        return max((bucket.owe() for bucket in self._buckets(org, sources, connection)), default=0.0)

    def retry_s(self, org: str, sources: Iterable[str]) -> float:
        """How many seconds until all of these sources may send again."""
        return max((bucket.next_s for bucket in self._buckets(org, sources, None)), default=0.0)

    @property
    def metered(self) -> bool:
        """Whether messages are counted at all."""
        return bool(self._limits.connection_messages_s or self._limits.source_messages_s)

    def _buckets(self, org: str, sources: Iterable[str], connection: Bucket | None) -> list[Bucket]:
        first = [] if connection is None else [connection]
        if not self._limits.source_messages_s:
            return first
        return first + [self._sources.of(org, source_id) for source_id in sources]


def only_source(decoded: Decoded, source_id: str) -> Decoded:
    """What a key that is limited to one source may store; a point of another becomes a fault."""
    columns = decoded.columns
    if not set(columns.sources()) - {source_id}:
        return decoded
    kept, faults = Columns(), list(decoded.faults)
    for row, index in enumerate(decoded.indices()):
        if columns.source_id[row] == source_id:
            kept.copy(columns, row)
        else:
            faults.append(PointFault(index, f"source_id must be {source_id}: the key is limited to it"))
    return Decoded(kept, tuple(sorted(faults, key=lambda fault: fault.index)))
