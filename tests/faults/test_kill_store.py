"""kill -9 of a process that owns a store, at steps of its housekeeping; see `tests/support/storelife.py`.

FAULT_KILLS (200 in `make test-faults`) is how many kills there are, FAULT_SEED where the lives begin.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.support.storelife import Lives, judge

KILLS = int(os.environ.get("FAULT_KILLS", "6"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
KILLS_A_LIFE = 12
pytestmark = pytest.mark.timeout(120 + 5 * KILLS)


def test_what_was_acknowledged_is_there_once_wherever_it_was_killed(tmp_path: Path) -> None:
    luck = random.Random(SEED)
    with Lives() as lives:
        for number in range(-(-KILLS // KILLS_A_LIFE)):
            seed = SEED + number
            folder = tmp_path / str(number)
            steps = list(lives.live(folder / "whole" / "data", seed, 0))
            for at in luck.sample(range(1, len(steps) + 1), min(KILLS_A_LIFE, KILLS - number * KILLS_A_LIFE)):
                killed = folder / str(at)
                assert lives.live(killed / "data", seed, at) == ()
                try:
                    judge(killed, seed)
                except AssertionError as exc:
                    raise AssertionError(
                        f"killed at {steps[at - 1]}; again: storelife.Lives().live(folder, seed={seed}, kill_at={at})"
                    ) from exc
            shutil.rmtree(folder)
