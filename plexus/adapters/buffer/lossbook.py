"""The record of losses that a buffer keeps: one entry a reason, added to until a batch declares it."""

from __future__ import annotations

from collections.abc import Iterable

from plexus.domain.loss import Loss
from plexus.ports.buffer import BUFFER_FULL
from plexus.protocol.batch import Batch

LossBook = dict[str, Loss]
"""Losses by reason."""


def enter(book: LossBook, losses: Iterable[Loss]) -> None:
    """Add these to those of the same reason."""
    for loss in losses:
        before = book.get(loss.reason)
        book[loss.reason] = loss if before is None else before.with_more(loss)


def strike(book: LossBook, losses: Iterable[Loss]) -> None:
    """Take these off, as a batch declares them now; what was added since they were read stays."""
    for loss in losses:
        before = book.pop(loss.reason, None)
        if before is not None and before.count > loss.count:
            book[loss.reason] = Loss(loss.reason, before.count - loss.count, before.first_ms, before.last_ms)


def lost_with(batch: Batch) -> tuple[Loss, ...]:
    """What is lost when this batch makes room: its points, and what it was to declare."""
    # Stamps that nobody put right yet would place the loss in the wrong year.
    span = (None, None) if batch.unsynced is not None else (batch.first_ms, batch.last_ms)
    return (Loss(BUFFER_FULL, batch.count, *span), *batch.losses)
