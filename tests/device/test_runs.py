"""Runs on the device: announced in the background, in order, and never in the caller's way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from plexus.adapters.runs.memory import MemoryRunRegistry
from plexus.device.runs import ATTEMPTS, RunBook
from plexus.domain.errors import AuthenticationError, ConfigurationError, DeliveryError
from plexus.domain.run import Run


class HandClock:
    """A clock that the test moves: ticks are nanoseconds since its start."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.base_ms = 1_000_000.0
        self.boot_id = "by-hand"
        self.synced = True

    def tick(self) -> int:
        return self.now_ns

    def wall_ms(self, tick: int) -> float:
        return self.base_ms + tick / 1e6

    def raw_wall_ms(self) -> float:
        return self.wall_ms(self.now_ns)

    def correct(self, tick: int, wall_ms: float) -> None:
        self.base_ms = wall_ms - tick / 1e6

    def turn(self, ms: float) -> None:
        self.base_ms += ms


class Recording(MemoryRunRegistry):
    """Keeps every announcement, and fails the next ones with the errors it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Run] = []
        self.errors: list[Exception] = []
        self.closed = 0

    def announce(self, run: Run) -> None:
        self.heard.append(run)
        if self.errors:
            raise self.errors.pop(0)
        super().announce(run)

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A run book whose background work is done when the test says so."""

    def __init__(self, registry: MemoryRunRegistry | None = None, settle: Callable[[], object] = lambda: None) -> None:
        self.registry = Recording() if registry is None else registry
        self.clock = HandClock()
        self.name = "rig-01"
        self.jobs: list[Callable[[], None]] = []
        self.waits: list[float] = []
        self.failed: list[tuple[str, str]] = []
        self.book = RunBook(
            self.registry,
            self.clock,
            source_id=lambda: self.name,
            failed=lambda run_id, detail: self.failed.append((run_id, detail)),
            run=self.jobs.append,
            wait=self._wait,
            random=lambda: 0.5,
            settle=settle,
        )

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        return event.is_set()

    @property
    def heard(self) -> list[Run]:
        assert isinstance(self.registry, Recording)
        return self.registry.heard

    def told(self) -> list[tuple[str, str]]:
        return [(run.run_id, run.status) for run in self.heard]


@pytest.fixture(name="bench")
def _bench() -> Bench:
    return Bench()


def test_points_carry_the_run_inside_the_block_and_none_outside(bench: Bench) -> None:
    assert bench.book.current is None
    with bench.book.run("flight-7"):
        assert bench.book.current == "flight-7"
    assert bench.book.current is None


def test_start_and_end_are_announced_in_order_with_the_times_they_had(bench: Bench) -> None:
    bench.clock.now_ns = 1_000_000_000
    with bench.book.run("flight-7", tags={"pilot": "ada", "attempt": 3}) as run:
        assert (run.name, run.run_id, run.status) == ("flight-7", "flight-7", "running")
        bench.clock.now_ns = 3_500_000_000
    bench.work()
    assert bench.told() == [("flight-7", "running"), ("flight-7", "completed")]
    assert [(run.started_ms, run.ended_ms) for run in bench.heard] == [(1_001_000.0, None), (1_001_000.0, 1_003_500.0)]
    assert bench.heard[0] == Run(
        "flight-7", "flight-7", "rig-01", "running", 1_001_000.0, tags={"pilot": "ada", "attempt": "3"}
    )
    assert bench.heard[1].tags == {"pilot": "ada", "attempt": "3"}


def test_nothing_is_announced_on_the_callers_path(bench: Bench) -> None:
    with bench.book.run("flight-7"):
        assert bench.heard == []
    assert bench.heard == []


def test_an_exception_ends_the_run_aborted_and_goes_on(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), bench.book.run("flight-7"):
        _ = 1 / 0
    bench.work()
    assert bench.told() == [("flight-7", "running"), ("flight-7", "aborted")]
    assert bench.book.current is None


def test_ctrl_c_ends_the_run_aborted_too(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt), bench.book.run("flight-7"):
        raise KeyboardInterrupt
    bench.work()
    assert bench.told()[-1] == ("flight-7", "aborted")


def test_a_run_inside_another_gives_way_to_it_when_it_ends(bench: Bench) -> None:
    with bench.book.run("campaign"):
        with bench.book.run("flight-7"):
            assert bench.book.current == "flight-7"
        assert bench.book.current == "campaign"


def test_the_run_belongs_to_the_client_so_other_threads_see_it(bench: Bench) -> None:
    seen: list[str | None] = []
    with bench.book.run("flight-7"):
        thread = threading.Thread(target=lambda: seen.append(bench.book.current))
        thread.start()
        thread.join()
    assert seen == ["flight-7"]


def test_overlapping_runs_end_in_any_order(bench: Bench) -> None:
    first, second = bench.book.run("one"), bench.book.run("two")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert bench.book.current == "two"
    second.__exit__(None, None, None)
    assert bench.book.current is None


def test_a_name_that_the_gateway_assigned_meanwhile_is_used(bench: Bench) -> None:
    with bench.book.run("flight-7"):
        bench.name = "rig-01_2"
    bench.work()
    assert {run.source_id for run in bench.heard} == {"rig-01_2"}


def test_times_are_those_of_the_corrected_clock(bench: Bench) -> None:
    with bench.book.run("flight-7"):
        bench.clock.turn(5_000.0)
    bench.work()
    assert bench.heard[0].started_ms == 1_005_000.0


def test_a_start_told_by_a_wrong_clock_is_told_again_before_the_end(bench: Bench) -> None:
    with bench.book.run("flight-7"):
        bench.work()
        bench.clock.turn(-3_600_000.0)
        bench.clock.now_ns = 60_000_000_000
    bench.work()
    assert bench.told() == [("flight-7", "running"), ("flight-7", "running"), ("flight-7", "completed")]
    run = bench.registry.runs["flight-7"]
    assert run.ended_ms is not None
    assert run.ended_ms - run.started_ms == 60_000.0


def test_a_start_told_a_little_off_is_left_as_it_is(bench: Bench) -> None:
    with bench.book.run("flight-7"):
        bench.work()
        bench.clock.turn(40.0)
    bench.work()
    assert bench.told() == [("flight-7", "running"), ("flight-7", "completed")]


def test_store_frames_goes_along_as_metadata(bench: Bench) -> None:
    with bench.book.run("flight-7", store_frames=True):
        pass
    bench.work()
    assert bench.heard[0].metadata == {"store_frames": True}


def test_a_failure_is_tried_again_after_growing_waits(bench: Bench) -> None:
    assert isinstance(bench.registry, Recording)
    bench.registry.errors = [DeliveryError("down"), DeliveryError("down")]
    with bench.book.run("flight-7"):
        bench.work()
    assert bench.waits == [1.0, 2.0]
    assert bench.told() == [("flight-7", "running")] * 3
    assert bench.failed == []


def test_a_failure_that_lasts_is_reported_and_not_raised(bench: Bench) -> None:
    assert isinstance(bench.registry, Recording)
    bench.registry.errors = [DeliveryError("the app is down")] * ATTEMPTS
    with bench.book.run("flight-7"):
        bench.work()
    bench.work()
    assert bench.failed == [("flight-7", "the app is down")]
    assert bench.waits == [1.0, 2.0, 4.0, 8.0]
    assert bench.told()[-1] == ("flight-7", "completed")


def test_a_refusal_is_reported_at_once(bench: Bench) -> None:
    assert isinstance(bench.registry, Recording)
    bench.registry.errors = [AuthenticationError("this key may not write")]
    with bench.book.run("flight-7"):
        bench.work()
    assert bench.failed == [("flight-7", "this key may not write")]
    assert bench.waits == []


def test_a_registry_that_breaks_does_not_end_the_announcing(bench: Bench) -> None:
    assert isinstance(bench.registry, Recording)
    bench.registry.errors = [KeyError("oops")]
    with bench.book.run("flight-7"):
        bench.work()
    bench.work()
    assert bench.failed == [("flight-7", "KeyError: 'oops'")]
    assert bench.told()[-1] == ("flight-7", "completed")


def test_a_system_without_threads_is_reported_and_not_raised() -> None:
    failed: list[str] = []

    def refuse(job: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    book = RunBook(
        MemoryRunRegistry(),
        HandClock(),
        source_id=lambda: "rig-01",
        failed=lambda run_id, detail: failed.append(detail),
        run=refuse,
        wait=lambda event, seconds: False,
        random=lambda: 0.5,
    )
    with book.run("flight-7"):
        assert book.current == "flight-7"
    assert failed == ["can't start new thread"] * 2
    assert book.close(0.0)


def test_one_worker_at_a_time_announces(bench: Bench) -> None:
    with bench.book.run("flight-7"), bench.book.run("leg-1"):
        pass
    assert len(bench.jobs) == 1
    bench.work()
    assert len(bench.heard) == 4


def test_close_waits_for_what_is_under_way_and_closes_the_registry() -> None:
    asked, release = threading.Event(), threading.Event()

    class Slow(Recording):
        def announce(self, run: Run) -> None:
            asked.set()
            release.wait(10)
            super().announce(run)

    registry = Slow()
    threads: list[threading.Thread] = []

    def start(job: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=job))
        threads[-1].start()

    book = RunBook(
        registry,
        HandClock(),
        source_id=lambda: "rig-01",
        failed=lambda run_id, detail: None,
        run=start,
        wait=threading.Event.wait,
        random=lambda: 0.5,
    )
    with book.run("flight-7"):
        assert asked.wait(10)
    assert book.close(0.0) is False
    release.set()
    assert book.close(10.0) is True
    for thread in threads:
        thread.join(10)
    assert registry.runs["flight-7"].status == "completed"
    assert registry.closed >= 1


def test_after_close_nothing_is_waited_for(bench: Bench) -> None:
    assert isinstance(bench.registry, Recording)
    bench.registry.errors = [DeliveryError("down")] * 9
    with bench.book.run("flight-7"):
        pass
    bench.book.close(0.0)
    bench.work()
    assert bench.failed == [("flight-7", "down")] * 2
    assert len(bench.heard) == 2


@pytest.mark.parametrize("run_id", ["", "  ", None, 7, "x" * 257, "a\nb"])
def test_an_id_that_cannot_be_is_refused_at_the_call(bench: Bench, run_id: str) -> None:
    with pytest.raises(ConfigurationError, match="the name of a run"), bench.book.run(run_id):
        pass
    assert bench.jobs == []


@pytest.mark.parametrize("tags", [["a"], "a", {str(number): "x" for number in range(17)}])
def test_tags_that_cannot_be_are_refused_at_the_call(bench: Bench, tags: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="tags of a run"), bench.book.run("flight-7", tags=tags):
        pass
    assert bench.jobs == []
