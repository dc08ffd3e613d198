"""What every run registry must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from plexus.domain.errors import ApiError, DeliveryError
from plexus.domain.run import Criterion, Run
from plexus.ports.runs import RunRegistry
from plexus.testing.contracts import Contract

STARTED = Run("thermal/001", "thermal/001", "rig-01", "running", 1_746_969_660_000.0, tags={"chamber": "B"})
COMPLETED = attrs.evolve(STARTED, status="completed", ended_ms=1_746_969_720_500.0)
ABORTED = attrs.evolve(COMPLETED, status="aborted")

NEWER = attrs.evolve(
    STARTED,
    run_id="",
    name="hotfire-03",
    metadata={"operator": "kt"},
    pass_criteria=(Criterion("motor.temp_c", "<", 85.0, "stays cool"),),
)


class RunsContract(Contract):
    """Override `make` to return a registry, `known` to say what its other end knows, `cut_off` to make it fail."""

    def make(self) -> RunRegistry:
        """A fresh registry whose other end knows no run."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its run registry")

    def known(self, registry: RunRegistry) -> list[Run]:
        """The runs that the other end of `registry` knows, one each, in the order of their first announcement."""
        raise NotImplementedError(f"{type(self).__name__} must say which runs were announced")

    def cut_off(self, registry: RunRegistry) -> None:
        """Make the other end of `registry` unreachable."""
        raise NotImplementedError(f"{type(self).__name__} must say how its other end becomes unreachable")

    @contextmanager
    def registry(self) -> Iterator[RunRegistry]:
        """A fresh registry, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_a_start_arrives(self) -> None:
        with self.registry() as registry:
            registry.announce(STARTED)
            assert self.known(registry) == [STARTED]

    def test_an_end_arrives_beside_its_start(self) -> None:
        with self.registry() as registry:
            registry.announce(STARTED)
            registry.announce(COMPLETED)
            assert self.known(registry) == [COMPLETED]

    def test_an_aborted_run_is_known_as_aborted(self) -> None:
        with self.registry() as registry:
            registry.announce(STARTED)
            registry.announce(ABORTED)
            assert self.known(registry) == [ABORTED]

    def test_telling_it_twice_changes_nothing(self) -> None:
        with self.registry() as registry:
            for run in (STARTED, STARTED, COMPLETED, COMPLETED):
                registry.announce(run)
            assert self.known(registry) == [COMPLETED]

    def test_a_start_told_again_late_does_not_open_the_run_again(self) -> None:
        with self.registry() as registry:
            for run in (STARTED, COMPLETED, STARTED):
                registry.announce(run)
            assert self.known(registry) == [COMPLETED]

    def test_a_start_with_another_time_takes_the_place_of_the_first(self) -> None:
        moved = attrs.evolve(STARTED, started_ms=STARTED.started_ms - 3_600_000.0)
        with self.registry() as registry:
            registry.announce(STARTED)
            registry.announce(moved)
            assert self.known(registry) == [moved]

    def test_runs_are_kept_apart(self) -> None:
        other = attrs.evolve(STARTED, run_id="thermal/002", name="thermal/002")
        with self.registry() as registry:
            registry.announce(STARTED)
            registry.announce(other)
            registry.announce(COMPLETED)
            assert self.known(registry) == [COMPLETED, other]

    def test_a_run_that_is_opened_gets_an_id_and_arrives_whole(self) -> None:
        with self.registry() as registry:
            run_id = registry.open(NEWER)
            assert run_id
            assert self.known(registry) == [attrs.evolve(NEWER, run_id=run_id)]

    def test_two_runs_of_one_name_are_two(self) -> None:
        later = attrs.evolve(NEWER, started_ms=NEWER.started_ms + 60_000.0)
        with self.registry() as registry:
            assert registry.open(NEWER) != registry.open(later)

    def test_a_run_that_was_opened_ends_and_is_judged(self) -> None:
        with self.registry() as registry:
            run_id = registry.open(NEWER)
            ended = attrs.evolve(NEWER, run_id=run_id, status="aborted", ended_ms=COMPLETED.ended_ms)
            for _ in range(2):
                result = registry.end(ended)
                assert result is not None
                assert result["passed"] is False
                assert [each["metric"] for each in result["criteria_results"]] == ["motor.temp_c"]
            assert self.known(registry) == [ended]

    def test_a_run_without_criteria_has_no_judgement(self) -> None:
        plain = attrs.evolve(NEWER, pass_criteria=())
        with self.registry() as registry:
            run_id = registry.open(plain)
            ended = attrs.evolve(plain, run_id=run_id, status="completed", ended_ms=COMPLETED.ended_ms)
            assert registry.end(ended) is None

    def test_a_run_that_nobody_opened_cannot_be_ended(self) -> None:
        with self.registry() as registry:
            try:
                registry.end(attrs.evolve(COMPLETED, run_id="nobody-opened-it"))
            except ApiError:
                return
        raise AssertionError("ending a run that nobody opened raised no ApiError")

    def test_what_cannot_be_opened_or_ended_is_a_delivery_error(self) -> None:
        with self.registry() as registry:
            self.cut_off(registry)
            for tell in (registry.open, registry.end):
                try:
                    tell(NEWER)
                except DeliveryError:
                    continue
                raise AssertionError(f"{tell.__name__} into the void raised no DeliveryError")

    def test_what_cannot_be_delivered_is_a_delivery_error(self) -> None:
        with self.registry() as registry:
            self.cut_off(registry)
            try:
                registry.announce(STARTED)
            except DeliveryError:
                return
        raise AssertionError("announcing into the void raised no DeliveryError")

    def test_closing_twice_is_fine(self) -> None:
        with self.registry() as registry:
            registry.announce(STARTED)
            registry.close()
            registry.close()
