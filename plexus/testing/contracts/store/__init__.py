"""What every store must do.

The contract is in parts, which together are `StoreContract`; each may be run alone while an adapter is being written.
"""

from __future__ import annotations

from plexus.testing.contracts.store.buckets import BucketsContract
from plexus.testing.contracts.store.commit import CommitContract
from plexus.testing.contracts.store.events import EventsContract
from plexus.testing.contracts.store.metrics import MetricsContract

__all__ = ["BucketsContract", "CommitContract", "EventsContract", "MetricsContract", "StoreContract"]


class StoreContract(CommitContract, MetricsContract, BucketsContract, EventsContract):
    """Override `make` to return a fresh, empty store."""
