"""Runs episodes, over all cores, and says what came of them; a failure says how to see it again."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence

from tests.simulation.episode import Episode, Result, run_episode

CHUNK = 50
SHOWN = 20


def replay(seed: int) -> str:
    """The command that shows an episode again."""
    return f"python -m tests.simulation --seed {seed}"


def run_all(seeds: Iterable[int], processes: int) -> Iterator[Result]:
    """The results of these episodes, in order."""
    if processes < 2:
        yield from map(run_episode, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(run_episode, seeds, CHUNK)


def failures_of(results: Iterable[Result]) -> list[str]:
    """A line for each episode that failed, with the way to see it again."""
    return [f"{result.broken}\n    {replay(result.seed)}" for result in results if result.broken]


def main(arguments: Sequence[str]) -> int:
    """The command; 1 when an episode failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this episode with a trace")
    parser.add_argument("--first", type=int, default=int(os.environ.get("SIM_SEED", "1")), help="seed of the first one")
    parser.add_argument("--episodes", type=int, default=int(os.environ.get("SIM_EPISODES", "100000")))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if options.seed is not None:
        return _show(options.seed)
    return _run(options.first, options.episodes, options.processes)


def _show(seed: int) -> int:
    episode = Episode(seed, traced=True)
    try:
        print(episode.run())  # noqa: T201 - a command's output
        broken = False
    except AssertionError as exc:
        print(f"{type(exc).__name__}: {exc}")  # noqa: T201
        broken = True
    finally:
        print("\n".join(episode.world.lines or ()))  # noqa: T201
    return int(broken)


def _run(first: int, episodes: int, processes: int) -> int:
    started = time.perf_counter()
    sent = stored = declared = optional = kills = 0
    failed: list[Result] = []
    for result in run_all(range(first, first + episodes), processes):
        sent, stored, declared = sent + result.sent, stored + result.stored, declared + result.declared
        optional, kills = optional + result.optional, kills + result.kills
        if result.broken:
            failed.append(result)
            if len(failed) <= SHOWN:
                print(failures_of([result])[0], flush=True)  # noqa: T201
    took = time.perf_counter() - started
    print(  # noqa: T201
        f"{episodes} episodes from seed {first}: {len(failed)} failed; {sent} points sent, {stored} stored, "
        f"{declared} declared lost, {optional} beyond the promise, {kills} kills; "
        f"{took:.0f} s, {episodes / took:.0f} episodes a second on {processes} processes"
    )
    return int(bool(failed))
