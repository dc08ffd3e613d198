"""What the suites keep in a buffer, and how they look at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plexus.domain.loss import Loss
from plexus.ports.buffer import BUFFER_FULL, Buffer
from plexus.protocol.batch import Batch, digest_of
from plexus.protocol.extensions import GAPS
from plexus.testing.contracts import Contract

BOUND = 1_000
"""How many points `make` must allow."""

STREAM, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


def a_batch(n: int, count: int = 10, stream: str = STREAM, body: bytes | None = None) -> Batch:
    """A batch whose content follows from its name."""
    content = body if body is not None else f'[{{"metric":"m.{n}","value":{n}}}]'.encode() * count
    needs = frozenset({"any_metric", "precision"}) if n % 2 else frozenset()
    return Batch(
        stream, n, count, content, digest_of(content), needs, 1_746_969_660_000.25 + n, 1_746_969_660_999.5 + n
    )


def same(left: Sequence[Batch], right: Sequence[Batch]) -> bool:
    """Whether these are the same batches in the same order, to the last byte."""
    return [_facts(batch) for batch in left] == [_facts(batch) for batch in right]


def _facts(batch: Batch) -> tuple[object, ...]:
    return (
        batch.stream,
        batch.n,
        batch.count,
        batch.body,
        batch.digest,
        batch.needs,
        float(batch.first_ms),
        float(batch.last_ms),
        batch.unsynced,
        batch.losses,
    )


def a_declaration(n: int, *losses: Loss, stream: str = STREAM) -> Batch:
    """A batch that says what was lost, and has no points."""
    return Batch(stream, n, 0, b"[]", digest_of(b"[]"), frozenset({GAPS}), losses=losses)


def eviction(n: int, count: int = 10) -> Loss:
    """What is lost when `a_batch(n, count)` makes room."""
    batch = a_batch(n, count)
    return Loss(BUFFER_FULL, batch.count, batch.first_ms, batch.last_ms)


def record(buffer: Buffer) -> list[Loss]:
    """The record of losses, by reason."""
    return sorted(buffer.losses(), key=lambda loss: loss.reason)


def every(buffer: Buffer) -> list[Batch]:
    """All that is kept, oldest first."""
    return buffer.oldest(0, 1_000_000)


class WithBuffer(Contract):
    """Override `make` to return a fresh, empty buffer bounded to BOUND points."""

    def make(self) -> Buffer:
        """A fresh, empty buffer."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its buffer")

    @contextmanager
    def buffer(self) -> Iterator[Buffer]:
        """A fresh buffer, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)
