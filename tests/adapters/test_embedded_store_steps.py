"""kill -9 at every step of sealing, merging, letting go, removing, renaming and copying: everything is there, once.

A short choice of steps here; all of them in `tests/faults/test_kill_store.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.storelife import Lives, judge

SEED = 3
STEPS = 24


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with Lives() as running:
        yield running


def choice(steps: list[str], most: int) -> list[int]:
    """Numbers of steps: at least one of each name, and the rest spread evenly."""
    firsts = {name: number for number, name in reversed(list(enumerate(steps, 1)))}
    spread = range(1, len(steps) + 1, max(1, len(steps) // max(1, most - len(firsts))))
    return sorted({*firsts.values(), *spread})


def test_a_life_without_a_kill_is_as_the_model_says(lives: Lives, tmp_path: Path) -> None:
    steps = lives.live(tmp_path / "data", SEED, 0)
    judge(tmp_path, SEED)
    expected_steps = {
        *(f"sealing.{name}" for name in ("begun", "streams", "series", "kept", "written", "swapped", "shown")),
        *(f"merging.{name}" for name in ("begun", "written", "swapped", "shown")),
        *(f"retention.{name}" for name in ("begun", "swapped", "shown")),
        *(f"removal.{name}" for name in ("begun", "written", "swapped", "shown")),
        *("rename.written", "snapshot.files", "snapshot.done", "before fsync", "after replace", "after unlink"),
    }
    assert expected_steps <= set(steps)


def test_a_kill_at_any_step_loses_nothing_and_doubles_nothing(lives: Lives, tmp_path: Path) -> None:
    steps = list(lives.live(tmp_path / "whole" / "data", SEED, 0))
    for number in choice(steps, STEPS):
        folder = tmp_path / str(number)
        assert lives.live(folder / "data", SEED, number) == ()
        try:
            judge(folder, SEED)
        except AssertionError as exc:
            raise AssertionError(f"killed at step {number}, {steps[number - 1]}") from exc
