"""What every buffer must do."""

from __future__ import annotations

from plexus.testing.contracts.buffer.batches import (
    BOUND,
    OTHER,
    STREAM,
    a_batch,
    a_declaration,
    every,
    eviction,
    record,
    same,
)
from plexus.testing.contracts.buffer.keeping import KeepingContract
from plexus.testing.contracts.buffer.lasting import LastingContract
from plexus.testing.contracts.buffer.losing import LosingContract

__all__ = [
    "BOUND",
    "OTHER",
    "STREAM",
    "BufferContract",
    "DurableBufferContract",
    "a_batch",
    "a_declaration",
    "every",
    "eviction",
    "record",
    "same",
]


class BufferContract(KeepingContract, LosingContract):
    """Override `make` to return a fresh, empty buffer bounded to BOUND points."""


class DurableBufferContract(BufferContract, LastingContract):
    """For buffers that outlive their process; override `reopen` too."""
