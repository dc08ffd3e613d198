"""Both run registries keep the contract, and the contract catches registries that do not."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import httpx
import pytest

from plexus.adapters.runs.http import RequestRunRegistry
from plexus.adapters.runs.memory import MemoryRunRegistry
from plexus.domain.errors import DeliveryError
from plexus.domain.run import Run
from plexus.ports.runs import RunRegistry, TestResult
from plexus.testing.contracts import failures
from plexus.testing.contracts.runs import RunsContract
from tests.support.runsapp import URL, RunsApp


class TestMemoryRunRegistry(RunsContract):
    def make(self) -> RunRegistry:
        return MemoryRunRegistry()

    def known(self, registry: RunRegistry) -> list[Run]:
        assert isinstance(registry, MemoryRunRegistry)
        return list(registry.runs.values())

    def cut_off(self, registry: RunRegistry) -> None:
        assert isinstance(registry, MemoryRunRegistry)
        registry.reachable = False


class TestRequestRunRegistry(RunsContract):
    @pytest.fixture(autouse=True)
    def _app(self) -> Iterator[None]:
        self.app = RunsApp()
        with self.app.router:
            yield

    def make(self) -> RunRegistry:
        return RequestRunRegistry(URL, "plx_key")

    def known(self, registry: RunRegistry) -> list[Run]:
        return list(self.app.runs.values())

    def cut_off(self, registry: RunRegistry) -> None:
        self.app.refusal = httpx.ConnectError("connection refused")


class Counting(MemoryRunRegistry):
    """Makes a run of every start it hears."""

    def announce(self, run: Run) -> None:
        if run.status == "running":
            run = attrs.evolve(run, run_id=f"{run.run_id}#{len(self.runs)}")
        super().announce(run)


class Stubborn(MemoryRunRegistry):
    """Keeps the first time that it heard."""

    def announce(self, run: Run) -> None:
        if run.status != "running" or run.run_id not in self.runs:
            super().announce(run)


class Rosy(MemoryRunRegistry):
    """Calls every end a completion."""

    def announce(self, run: Run) -> None:
        super().announce(attrs.evolve(run, status="completed") if run.status == "aborted" else run)


class Silent(MemoryRunRegistry):
    """Says nothing of what it could not deliver."""

    def announce(self, run: Run) -> None:
        if self.reachable:
            super().announce(run)


class Reopening(MemoryRunRegistry):
    """Takes the last word for the truth."""

    def announce(self, run: Run) -> None:
        if not self.reachable:
            raise DeliveryError("unreachable")
        self.runs[run.run_id] = run


class Leaving(MemoryRunRegistry):
    """Cannot be closed twice."""

    closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class Anonymous(MemoryRunRegistry):
    """Opens every run under one id."""

    def open(self, run: Run) -> str:
        self.runs.pop("run-1", None)
        return super().open(run)


class Stingy(MemoryRunRegistry):
    """Keeps the judgement to itself."""

    def end(self, run: Run) -> TestResult | None:
        super().end(run)
        return None


class Lenient(MemoryRunRegistry):
    """Ends what nobody opened."""

    def end(self, run: Run) -> TestResult | None:
        return super().end(run) if run.run_id in self.runs or not self.reachable else None


class Offhand(MemoryRunRegistry):
    """Opens and ends without a look at the network."""

    def open(self, run: Run) -> str:
        return super().open(run) if self.reachable else "run-0"


NUMBERED = {
    "test_a_start_arrives",
    "test_a_start_told_again_late_does_not_open_the_run_again",
    "test_a_start_with_another_time_takes_the_place_of_the_first",
    "test_an_aborted_run_is_known_as_aborted",
    "test_an_end_arrives_beside_its_start",
    "test_runs_are_kept_apart",
    "test_telling_it_twice_changes_nothing",
}


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (Counting, NUMBERED),
        (Stubborn, {"test_a_start_with_another_time_takes_the_place_of_the_first"}),
        (Rosy, {"test_an_aborted_run_is_known_as_aborted"}),
        (Silent, {"test_what_cannot_be_delivered_is_a_delivery_error"}),
        (Reopening, {"test_a_start_told_again_late_does_not_open_the_run_again"}),
        (Leaving, {"test_closing_twice_is_fine"}),
        (Anonymous, {"test_two_runs_of_one_name_are_two"}),
        (Stingy, {"test_a_run_that_was_opened_ends_and_is_judged"}),
        (Lenient, {"test_a_run_that_nobody_opened_cannot_be_ended"}),
        (Offhand, {"test_what_cannot_be_opened_or_ended_is_a_delivery_error"}),
    ],
)
def test_the_contract_fails_a_registry_that_is(broken: type[MemoryRunRegistry], caught: set[str]) -> None:
    class Suite(TestMemoryRunRegistry):
        def make(self) -> RunRegistry:
            return broken()

    assert set(failures(Suite)) == caught
