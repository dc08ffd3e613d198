"""The shipped protocol, from the intake to the store, in a world where everything goes wrong."""

from __future__ import annotations

import os

from tests.simulation.episode import Episode
from tests.simulation.runner import failures_of, run_all
from tests.simulation.world import Broken

FIRST = int(os.environ.get("SIM_SEED", "1"))
EPISODES = 600
"""`make test-simulation` runs 100,000."""


def trace_of(seed: int) -> list[str]:
    """What happened in an episode."""
    episode = Episode(seed, traced=True)
    try:
        episode.run()
    except Broken as exc:
        assert episode.world.lines is not None
        episode.world.lines.append(str(exc))
    return list(episode.world.lines or ())


def test_nothing_is_lost_nothing_is_stored_twice_and_nothing_is_stuck() -> None:
    results = list(run_all(range(FIRST, FIRST + EPISODES), 2))
    assert failures_of(results) == []
    # It did something: else no failure would say nothing.
    assert sum(result.stored for result in results) > 10 * EPISODES
    assert sum(result.kills for result in results) > EPISODES / 10
    assert sum(result.declared for result in results) > EPISODES / 10


def test_a_seed_gives_the_same_episode_again() -> None:
    assert [trace_of(seed) for seed in range(1, 40)] == [trace_of(seed) for seed in range(1, 40)]
