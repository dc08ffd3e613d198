"""What every store must do.

The contract is in parts, which together are `StoreContract`; each may be run alone while an adapter is being written.
"""

from __future__ import annotations

from plexus.testing.contracts.store.asking import AskingContract
from plexus.testing.contracts.store.buckets import BucketsContract
from plexus.testing.contracts.store.commit import CommitContract
from plexus.testing.contracts.store.events import EventsContract
from plexus.testing.contracts.store.metrics import MetricsContract
from plexus.testing.contracts.store.replaying import ReplayingContract
from plexus.testing.contracts.store.scanning import ScanningContract
from plexus.testing.contracts.store.tending import TendingContract

__all__ = [
    "AskingContract",
    "BucketsContract",
    "CommitContract",
    "EventsContract",
    "MetricsContract",
    "ReplayingContract",
    "ScanningContract",
    "StoreContract",
    "TendingContract",
]


class StoreContract(
    CommitContract,
    MetricsContract,
    BucketsContract,
    EventsContract,
    ScanningContract,
    AskingContract,
    TendingContract,
    ReplayingContract,
):
    """Override `make` to return a fresh, empty store."""
