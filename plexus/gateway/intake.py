"""What every message of points passes on its way to the committer, whichever way it came: size, key, names, rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plexus.gateway.meters import Meters
from plexus.gateway.quotas import Quotas
from plexus.gateway.rates import Bucket, SourceRates
from plexus.ports.keyring import KeyInfo
from plexus.ports.store import Store
from plexus.protocol.columns import Columns, Decoded, PointFault

if TYPE_CHECKING:
    from plexus.gateway.core import Limits

RATE_LIMITED = "RATE_LIMITED"
"""The code of an error for a message that came too soon."""


class Intake:
    """One for the gateway, on its event loop. `quotas.learn` is to be awaited before `admit` is asked."""

    def __init__(self, store: Store, limits: Limits, meters: Meters, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._meters = meters
        self._monotonic = monotonic
        self.quotas = Quotas(
            store,
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

    def in_time(self, org: str, source_id: str, connection: Bucket | None = None) -> bool:
        """Whether a message may come now; one that may not is dropped whole, and counted."""
        source = self._sources.of(org, source_id)
        if connection is not None and not connection.take():
            self._meters.reject("rate_limited")
            return False
        if source.take():
            return True
        if connection is not None:
            connection.give_back()
        self._meters.reject("rate_limited")
        return False

    def wait_s(self, org: str, source_id: str, connection: Bucket | None = None) -> float:
        """A message is taken; how many seconds its sender is to wait before the next one."""
        owed = self._sources.of(org, source_id).owe()
        return owed if connection is None else max(owed, connection.owe())

    def retry_s(self, org: str, source_id: str) -> float:
        """How many seconds until a source may send again."""
        return self._sources.of(org, source_id).next_s

    @property
    def metered(self) -> bool:
        """Whether messages are counted at all."""
        return bool(self._limits.connection_messages_s or self._limits.source_messages_s)


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
