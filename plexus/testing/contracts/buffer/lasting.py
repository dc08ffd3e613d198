"""What outlives the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plexus.domain.loss import Loss
from plexus.ports.buffer import Buffer
from plexus.testing.contracts.buffer.batches import (
    BOUND,
    OTHER,
    STREAM,
    WithBuffer,
    a_batch,
    a_declaration,
    every,
    eviction,
    record,
    same,
)


class LastingContract(WithBuffer):
    """For buffers that outlive their process; override `reopen` too."""

    def reopen(self, buffer: Buffer) -> Buffer:
        """Another buffer over what this one, which is closed, has kept."""
        raise NotImplementedError(f"{type(self).__name__} must say how to open what a closed buffer kept")

    @contextmanager
    def reopened(self, buffer: Buffer) -> Iterator[Buffer]:
        """Close it and open what it kept."""
        buffer.close()
        again = self.reopen(buffer)
        try:
            yield again
        finally:
            self.dispose(again)

    def test_it_says_that_it_is_durable(self) -> None:
        with self.buffer() as buffer:
            assert buffer.durable

    def test_what_is_kept_is_there_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, stream=stream) for n in (2, 1) for stream in (OTHER, STREAM)]
            buffer.append(kept)
            with self.reopened(buffer) as again:
                assert same(every(again), kept)
                assert again.points == 40

    def test_what_was_released_is_not_there_after_a_close(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (1, 2, 3)])
            buffer.release([a_batch(2)])
            with self.reopened(buffer) as again:
                assert [batch.n for batch in every(again)] == [1, 3]
                assert again.points == 20

    def test_the_order_goes_on_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (5, 6)])
            buffer.release([a_batch(6)])
            with self.reopened(buffer) as again:
                again.append([a_batch(1)])
                assert [batch.n for batch in every(again)] == [5, 1]

    def test_a_name_that_is_kept_is_known_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1)])
            with self.reopened(buffer) as again:
                again.append([a_batch(1)])
                assert again.points == 10

    def test_the_bound_holds_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(1, count=BOUND // 2), a_batch(2, count=BOUND // 2)]
            buffer.append(kept)
            with self.reopened(buffer) as again:
                assert same(again.append([a_batch(3, count=1)]), kept[:1])

    def test_losses_are_on_the_record_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2, 20.5, 30.5), Loss("non_finite", 1)])
            buffer.append([a_batch(1), a_batch(2, count=BOUND)])
            with self.reopened(buffer) as again:
                assert record(again) == [eviction(1), Loss("malformed", 2, 20.5, 30.5), Loss("non_finite", 1)]

    def test_what_was_declared_is_not_on_the_record_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            buffer.lose([Loss("malformed", 2)])
            declaration = a_declaration(1, *buffer.losses())
            buffer.declare(declaration)
            with self.reopened(buffer) as again:
                assert record(again) == []
                assert same(every(again), [declaration])

    def test_a_rewritten_batch_has_the_new_content_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(2)])
            buffer.rewrite([a_batch(1, body=b"[other]")])
            with self.reopened(buffer) as again:
                assert same(every(again), [a_batch(1, body=b"[other]"), a_batch(2)])
