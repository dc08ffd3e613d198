"""Large questions make objects of their rows one after the other, and small ones do not wait for them."""

from __future__ import annotations

import contextlib
import threading
import time

from plexus.adapters.store.embedded.queries.turn import MANY, alone

PATIENCE_S = 10.0


def test_two_large_ones_are_never_at_it_together() -> None:
    counts: list[int] = []
    inside: set[int] = set()

    def work(number: int) -> None:
        for _ in range(100):
            with alone(MANY):
                inside.add(number)
                time.sleep(0)  # here the others would come in
                counts.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert counts == [1] * 400


def test_a_small_one_does_not_wait_for_a_large_one() -> None:
    inside = threading.Event()

    def small() -> None:
        with alone(MANY - 1):
            inside.set()

    with alone(MANY):
        other = threading.Thread(target=small)
        other.start()
        assert inside.wait(PATIENCE_S)
    other.join(PATIENCE_S)


def test_one_that_fails_lets_the_next_one_in() -> None:
    with contextlib.suppress(ValueError), alone(MANY):
        raise ValueError
    with alone(MANY):
        pass
