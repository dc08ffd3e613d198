"""What every buffer must do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plexus.ports.buffer import Buffer
from plexus.protocol.batch import Batch, digest_of
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
    )


def _all(buffer: Buffer) -> list[Batch]:
    return buffer.oldest(0, 1_000_000)


class BufferContract(Contract):
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

    # --- keeping --------------------------------------------------------------------------------------------

    def test_a_fresh_buffer_is_empty(self) -> None:
        with self.buffer() as buffer:
            assert buffer.points == 0
            assert _all(buffer) == []

    def test_batches_come_back_whole_and_in_the_order_they_went_in(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, stream=stream) for n in (3, 1, 2) for stream in (OTHER, STREAM)]
            assert buffer.append(kept[:2]) == []
            assert buffer.append(kept[2:]) == []
            assert same(_all(buffer), kept)

    def test_a_body_of_any_bytes_comes_back(self) -> None:
        with self.buffer() as buffer:
            bodies = [b"", b"x", bytes(range(256)), bytes(100_000), "wärme ☃".encode() * 50]
            kept = [a_batch(n, body=body) for n, body in enumerate(bodies, start=1)]
            buffer.append(kept)
            assert same(_all(buffer), kept)

    def test_the_highest_number_comes_back(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(2**53)])
            assert _all(buffer)[0].n == 2**53

    def test_points_are_the_points_kept(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1, count=3), a_batch(2, count=5)])
            assert buffer.points == 8
            buffer.append([a_batch(3, count=7)])
            assert buffer.points == 15

    def test_appending_nothing_changes_nothing(self) -> None:
        with self.buffer() as buffer:
            assert buffer.append([]) == []
            assert buffer.points == 0

    def test_any_iterable_can_be_appended_and_released(self) -> None:
        with self.buffer() as buffer:
            buffer.append(a_batch(n) for n in (1, 2))
            buffer.release(a_batch(n) for n in (1,))
            assert [batch.n for batch in _all(buffer)] == [2]

    def test_a_name_that_is_kept_is_not_appended_again(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(1), a_batch(2)])
            assert buffer.append([a_batch(1)]) == []
            assert [batch.n for batch in _all(buffer)] == [1, 2]
            assert buffer.points == 20

    def test_the_same_number_in_another_stream_is_another_batch(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(1, stream=OTHER)])
            assert len(_all(buffer)) == 2

    # --- looking --------------------------------------------------------------------------------------------

    def test_oldest_gives_so_many_after_so_many(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n) for n in range(1, 11)]
            buffer.append(kept)
            for skip in (0, 1, 7, 3, 9, 10, 50, 0):
                for count in (0, 1, 3, 20):
                    assert same(buffer.oldest(skip, count), kept[skip : skip + count])

    def test_oldest_goes_on_over_what_is_appended_and_released_meanwhile(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in range(1, 6)])
            assert [batch.n for batch in buffer.oldest(3, 2)] == [4, 5]
            buffer.release([a_batch(1), a_batch(4)])
            assert [batch.n for batch in buffer.oldest(1, 2)] == [3, 5]
            buffer.append([a_batch(6)])
            assert [batch.n for batch in buffer.oldest(2, 5)] == [5, 6]

    def test_looking_takes_nothing_away(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1)])
            assert same(buffer.oldest(0, 1), buffer.oldest(0, 1))
            assert buffer.points == 10

    # --- releasing ------------------------------------------------------------------------------------------

    def test_what_is_released_is_gone_and_the_rest_stays(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (1, 2, 3)])
            buffer.release([a_batch(2)])
            assert [batch.n for batch in _all(buffer)] == [1, 3]
            assert buffer.points == 20

    def test_releasing_goes_by_stream_and_number(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(1, stream=OTHER)])
            buffer.release([a_batch(1, stream=OTHER)])
            assert [batch.stream for batch in _all(buffer)] == [STREAM]

    def test_releasing_what_is_not_there_is_passed_over(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1)])
            buffer.release([a_batch(9), a_batch(1), a_batch(1)])
            buffer.release([a_batch(1)])
            assert buffer.points == 0

    def test_many_are_released_at_once(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=1) for n in range(1, 901)]
            buffer.append(kept)
            buffer.release(kept[:899])
            assert [batch.n for batch in _all(buffer)] == [900]
            assert buffer.points == 1

    def test_what_was_released_can_be_appended_again_as_the_newest(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(1), a_batch(2)])
            buffer.release([a_batch(1)])
            buffer.append([a_batch(1)])
            assert [batch.n for batch in _all(buffer)] == [2, 1]
            assert buffer.points == 20

    # --- the bound ------------------------------------------------------------------------------------------

    def test_up_to_the_bound_nothing_makes_room(self) -> None:
        with self.buffer() as buffer:
            assert buffer.append([a_batch(n, count=BOUND // 10) for n in range(1, 11)]) == []
            assert buffer.points == BOUND

    def test_when_it_is_full_the_oldest_make_room_and_are_returned_whole(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            assert same(buffer.append([a_batch(11, count=BOUND // 10 + 1)]), kept[:2])
            assert [batch.n for batch in _all(buffer)] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
            assert buffer.points == BOUND - BOUND // 10 + 1

    def test_what_is_released_makes_room_of_its_own(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            buffer.release([kept[4]])
            assert buffer.append([a_batch(11, count=BOUND // 10)]) == []

    def test_the_oldest_makes_room_after_it_was_looked_at(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(n, count=BOUND // 10) for n in range(1, 11)]
            buffer.append(kept)
            buffer.oldest(0, 5)
            buffer.append([a_batch(11, count=BOUND // 5)])
            assert [batch.n for batch in buffer.oldest(0, 3)] == [3, 4, 5]

    def test_a_batch_larger_than_the_bound_is_returned_with_all_that_is_older(self) -> None:
        with self.buffer() as buffer:
            kept = [a_batch(1), a_batch(2, count=BOUND + 1)]
            buffer.append(kept[:1])
            assert same(buffer.append(kept[1:]), kept)
            assert buffer.points == 0
            assert _all(buffer) == []

    # --- the end --------------------------------------------------------------------------------------------

    def test_closing_twice_is_fine(self) -> None:
        with self.buffer() as buffer:
            buffer.close()
            buffer.close()


class DurableBufferContract(BufferContract):
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
                assert same(_all(again), kept)
                assert again.points == 40

    def test_what_was_released_is_not_there_after_a_close(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (1, 2, 3)])
            buffer.release([a_batch(2)])
            with self.reopened(buffer) as again:
                assert [batch.n for batch in _all(again)] == [1, 3]
                assert again.points == 20

    def test_the_order_goes_on_after_a_restart(self) -> None:
        with self.buffer() as buffer:
            buffer.append([a_batch(n) for n in (5, 6)])
            buffer.release([a_batch(6)])
            with self.reopened(buffer) as again:
                again.append([a_batch(1)])
                assert [batch.n for batch in _all(again)] == [5, 1]

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
