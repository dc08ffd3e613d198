"""What every registry must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from plexus.domain.errors import ConfigurationError
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.names import check_source_id, is_gateway_source_id
from plexus.domain.run import Criterion, Run
from plexus.ports.registry import Move, Registry
from plexus.testing.contracts import Contract


class RegistryContract(Contract):
    """Override `make` to return a fresh, empty registry."""

    def make(self) -> Registry:
        """A fresh, empty registry."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its registry")

    @contextmanager
    def registry(self) -> Iterator[Registry]:
        """A fresh registry, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_the_first_install_gets_the_declared_name(self) -> None:
        with self.registry() as registry:
            assert registry.claim("acme", "drone-01", "a") == "drone-01"

    def test_another_install_gets_the_next_suffix(self) -> None:
        with self.registry() as registry:
            given = [registry.claim("acme", "drone-01", install) for install in ("a", "b", "c")]
            assert given == ["drone-01", "drone-01_2", "drone-01_3"]

    def test_an_install_gets_its_own_name_back(self) -> None:
        with self.registry() as registry:
            for install in ("a", "b", "c"):
                registry.claim("acme", "drone-01", install)
            given = [registry.claim("acme", "drone-01", install) for install in ("c", "b", "a")]
            assert given == ["drone-01_3", "drone-01_2", "drone-01"]

    def test_an_install_that_declares_the_name_it_was_given_keeps_it(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "drone-01", "a")
            given = registry.claim("acme", "drone-01", "b")
            assert registry.claim("acme", given, "b") == given

    def test_a_suffixed_name_was_known_to_nobody(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "drone-01_2", "a")
            registry.claim("acme", "drone-01_3", "")
            registry.register("acme", "drone-01_4", "{}")
            registry.claim("acme", "drone-01", "b")
            assert registry.claim("acme", "drone-01", "c") == "drone-01_5"

    def test_one_install_with_two_sources_has_two_names(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "other")
            registry.claim("acme", "rig_2", "a")
            assert registry.claim("acme", "rig", "a") == "rig_3"

    def test_without_an_install_id_the_declared_name_stands(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "drone-01", "a")
            assert registry.claim("acme", "drone-01", "") == "drone-01"
            assert registry.claim("acme", "drone-01", "a") == "drone-01"

    def test_a_name_that_no_install_holds_is_free(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "drone-01", "")
            registry.register("acme", "drone-02", "{}")
            assert registry.claim("acme", "drone-01", "a") == "drone-01"
            assert registry.claim("acme", "drone-02", "a") == "drone-02"
            assert registry.claim("acme", "drone-01", "b") == "drone-01_2"

    def test_a_suffix_keeps_a_name_within_its_limits(self) -> None:
        with self.registry() as registry:
            for length in (62, 63, 255, 256):
                registry.claim("acme", "d" * length, "a")
                given = registry.claim("acme", "d" * length, "b")
                assert is_gateway_source_id(given)
                assert length > 63 or check_source_id(given)

    def test_organisations_do_not_share_names(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "drone-01", "a")
            assert registry.claim("other", "drone-01", "b") == "drone-01"
            assert registry.register("other", "rig", "{}")
            assert registry.registered("acme") == ["drone-01"]
            assert registry.registered("nobody") == []

    def test_a_source_is_registered_once(self) -> None:
        with self.registry() as registry:
            assert registry.register("acme", "rig", '{"device_type":"oven"}')
            assert not registry.register("acme", "rig", "{}")

    def test_a_claimed_name_can_be_registered_and_stays_held(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "a")
            assert registry.register("acme", "rig", "{}")
            assert not registry.register("acme", "rig", "{}")
            assert registry.claim("acme", "rig", "b") == "rig_2"

    def test_known_names_are_sorted_and_each_is_there_once(self) -> None:
        with self.registry() as registry:
            registry.register("acme", "rig", "{}")
            registry.claim("acme", "rig", "a")
            registry.claim("acme", "rig", "b")
            registry.claim("acme", "arm", "")
            assert registry.registered("acme") == ["arm", "rig", "rig_2"]

    def test_the_name_that_was_given_can_be_looked_up_without_a_trace(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "a")
            registry.claim("acme", "rig", "b")
            asked = [("acme", "rig", "b"), ("acme", "rig", "c"), ("acme", "arm", "a"), ("other", "rig", "b")]
            assert [registry.given(*one) for one in asked] == ["rig_2", None, None, None]
            assert registry.registered("acme") == ["rig", "rig_2"]
            assert registry.registered("other") == []

    def test_the_name_that_a_claim_would_get_can_be_foreseen_without_a_trace(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "a")
            for declared, install in (("rig", "a"), ("rig", "b"), ("arm", "b"), ("rig", ""), ("leg", "")):
                before = registry.registered("acme")
                foreseen = registry.foreseen("acme", declared, install)
                assert registry.registered("acme") == before
                assert registry.claim("acme", declared, install) == foreseen

    def test_an_install_that_proves_a_name_has_it_whoever_held_it(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "a")
            registry.prove("acme", "rig", "b")
            assert [registry.given("acme", "rig", install) for install in "ab"] == ["rig", "rig"]
            assert [registry.claim("acme", "rig", install) for install in "bac"] == ["rig", "rig", "rig_2"]
            assert registry.given("other", "rig", "b") is None

    def test_a_proof_takes_the_place_of_the_suffix_that_an_install_was_given(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "a")
            registry.claim("acme", "rig", "b")
            registry.prove("acme", "rig", "b")
            assert registry.claim("acme", "rig", "b") == "rig"

    def test_the_proof_of_a_name_that_nobody_knew_makes_it_known(self) -> None:
        with self.registry() as registry:
            registry.prove("acme", "rig", "a")
            registry.prove("acme", "arm", "")
            assert registry.registered("acme") == ["arm", "rig"]
            assert registry.claim("acme", "rig", "b") == "rig_2"

    def test_a_proof_without_an_install_id_holds_nothing(self) -> None:
        with self.registry() as registry:
            registry.prove("acme", "arm", "")
            registry.claim("acme", "rig", "a")
            registry.prove("acme", "rig", "")
            assert registry.claim("acme", "arm", "b") == "arm"
            assert registry.claim("acme", "rig", "b") == "rig_2"

    def test_a_proven_name_follows_a_rename_with_its_hold(self) -> None:
        with self.registry() as registry:
            registry.claim("acme", "rig", "a")
            registry.prove("acme", "rig", "b")
            registry.begin_move(Move("acme", "rig", "oven"))
            assert registry.given("acme", "rig", "b") == "oven"
            assert registry.claim("acme", "oven", "b") == "oven"

    def test_an_install_id_is_any_text(self) -> None:
        with self.registry() as registry:
            odd = [
                "x" * 5_000,
                "x" * 5_001,
                "\u2708 \U0001f4a5\n",
                "'; DROP TABLE names; --",
                "a\0b",
                "a\0c",
                " ",
                "A",
                "a",
            ]
            given = [registry.claim("acme", "rig", install) for install in odd]
            assert given == ["rig", *(f"rig_{number}" for number in range(2, len(odd) + 1))]
            assert [registry.claim("acme", "rig", install) for install in odd] == given

    def test_what_is_known_of_metrics_comes_back_by_name(self) -> None:
        with self.registry() as registry:
            volt = MetricInfo("u/v; DROP TABLE metrics", "V", "of the pack \u2708", 10.5, 12.0)
            registry.put_metric("acme", "rig", volt)
            registry.put_metric("acme", "rig", MetricInfo("a"))
            registry.put_metric("other", "rig", MetricInfo("a", high=-1.0))
            assert registry.metric_infos() == {
                ("acme", "rig"): [MetricInfo("a"), volt],
                ("other", "rig"): [MetricInfo("a", high=-1.0)],
            }

    def test_a_metric_put_again_replaces_the_first(self) -> None:
        with self.registry() as registry:
            registry.put_metric("acme", "rig", MetricInfo("a", "V", low=1.0))
            registry.put_metric("acme", "rig", MetricInfo("a", high=2.0))
            assert registry.metric_infos() == {("acme", "rig"): [MetricInfo("a", high=2.0)]}

    def test_a_metric_is_forgotten_once(self) -> None:
        with self.registry() as registry:
            registry.put_metric("acme", "rig", MetricInfo("a"))
            assert not registry.remove_metric("other", "rig", "a")
            assert registry.remove_metric("acme", "rig", "a")
            assert not registry.remove_metric("acme", "rig", "a")
            assert registry.metric_infos() == {}

    def test_a_renamed_source_takes_everything_with_it(self) -> None:
        with self.known() as registry:
            registry.begin_move(Move("acme", "rig", "oven"))
            assert registry.registered("acme") == ["oven", "rig_2"]
            assert registry.claim("acme", "rig", "a") == "oven"
            assert registry.claim("acme", "oven", "b") == "oven_2"
            assert _ids(registry.runs("acme", "oven", None)) == ["1"]
            assert registry.runs("acme", "rig", None) == []
            assert not registry.register("acme", "oven", "{}")
            assert registry.metric_infos() == {("acme", "oven"): [MetricInfo("t")], ("other", "rig"): [MetricInfo("t")]}
            assert registry.registered("other") == ["rig"]

    def test_a_renamed_sources_name_is_free_for_another_install(self) -> None:
        with self.known() as registry:
            registry.begin_move(Move("acme", "rig", "oven"))
            assert registry.claim("acme", "rig", "c") == "rig"

    def test_a_source_that_nobody_claimed_is_known_by_its_new_name(self) -> None:
        with self.registry() as registry:
            registry.begin_move(Move("acme", "rig", "oven"))
            assert registry.registered("acme") == ["oven"]
            assert registry.claim("acme", "oven", "a") == "oven"

    def test_of_a_deleted_source_nothing_is_left(self) -> None:
        with self.known() as registry:
            registry.begin_move(Move("acme", "rig", None))
            assert registry.registered("acme") == ["rig_2"]
            assert registry.given("acme", "rig", "a") is None
            assert registry.claim("acme", "rig", "c") == "rig"
            assert registry.runs("acme", None, None) == []
            assert registry.metric_infos() == {("other", "rig"): [MetricInfo("t")]}
            assert registry.registered("other") == ["rig"]

    def test_a_move_is_noted_until_it_ends(self) -> None:
        with self.known() as registry:
            first, second = Move("acme", "rig_2", None), Move("acme", "rig", "oven")
            registry.begin_move(first)
            registry.begin_move(second)
            assert list(registry.moves()) == [first, second]
            registry.end_move(first)
            assert list(registry.moves()) == [second]

    def test_a_name_that_is_known_cannot_be_moved_to_and_nothing_is_changed(self) -> None:
        with self.known() as registry:
            assert not _begins(registry, Move("acme", "rig", "rig_2"))
            assert registry.registered("acme") == ["rig", "rig_2"]
            assert list(registry.moves()) == []
            assert _begins(registry, Move("other", "rig", "rig_2"))

    def test_a_source_that_is_moving_cannot_be_moved_again(self) -> None:
        with self.known() as registry:
            registry.begin_move(Move("acme", "rig", "oven"))
            registry.claim("acme", "rig", "c")
            assert not _begins(registry, Move("acme", "rig", None))
            assert registry.registered("acme") == ["oven", "rig", "rig_2"]

    @contextmanager
    def known(self) -> Iterator[Registry]:
        """A registry with a source that has something of everything, and one of its name in another organisation."""
        with self.registry() as registry:
            for org, installs in (("acme", "ab"), ("other", "z")):
                for install in installs:
                    registry.claim(org, "rig", install)
                registry.put_metric(org, "rig", MetricInfo("t"))
            registry.register("acme", "rig", '{"device_type":"oven"}')
            registry.put_run("acme", Run("1", "1", "rig", "running", 1.0))
            yield registry

    def test_a_run_comes_back_as_it_went_in(self) -> None:
        with self.registry() as registry:
            run = Run(
                run_id="flight/7; DROP TABLE runs; --",
                name="Flight 7 \u2708",
                source_id="drone-01",
                status="completed",
                started_ms=1746969660000.125,
                ended_ms=1746969661000.0,
                tags={"pilot": "A"},
                metadata={"battery": {"cells": [4.1, 4.2]}, "ok": True, "note": None},
                pass_criteria=(Criterion("rpm", "<=", 4000.5, "not too fast"), Criterion("t", "!=", 0)),
            )
            registry.put_run("acme", run)
            assert registry.run("acme", run.run_id) == run
            assert registry.runs("acme", None, None) == [run]

    def test_a_run_of_the_whole_organisation_has_no_source(self) -> None:
        with self.registry() as registry:
            run = Run("r", "r", None, "running", 1.0)
            registry.put_run("acme", run)
            assert registry.run("acme", "r") == run
            assert registry.runs("acme", "drone-01", None) == []

    def test_a_run_put_again_replaces_the_first(self) -> None:
        with self.registry() as registry:
            run = Run("r", "r", "rig", "running", 1.0)
            ended = attrs.evolve(run, status="aborted", ended_ms=2.0)
            registry.put_run("acme", run)
            registry.put_run("acme", ended)
            assert registry.runs("acme", None, None) == [ended]

    def test_an_unknown_run_is_nothing(self) -> None:
        with self.registry() as registry:
            registry.put_run("acme", Run("r", "r", None, "running", 1.0))
            assert registry.run("acme", "s") is None
            assert registry.run("other", "r") is None
            assert registry.runs("other", None, None) == []

    def test_runs_are_newest_first_and_equal_starts_by_id(self) -> None:
        with self.registry() as registry:
            for run_id, started in (("b", 1.0), ("c", 2.0), ("a", 1.0), ("d", -5.0)):
                registry.put_run("acme", Run(run_id, run_id, None, "running", started))
            assert [run.run_id for run in registry.runs("acme", None, None)] == ["c", "a", "b", "d"]

    def test_runs_are_chosen_by_source_and_status(self) -> None:
        with self.registry() as registry:
            registry.put_run("acme", Run("1", "1", "rig", "running", 1.0))
            registry.put_run("acme", Run("2", "2", "rig", "completed", 2.0, 3.0))
            registry.put_run("acme", Run("3", "3", "arm", "running", 3.0))
            assert _ids(registry.runs("acme", "rig", None)) == ["2", "1"]
            assert _ids(registry.runs("acme", None, "running")) == ["3", "1"]
            assert _ids(registry.runs("acme", "rig", "running")) == ["1"]


def _begins(registry: Registry, move: Move) -> bool:
    try:
        registry.begin_move(move)
    except ConfigurationError:
        return False
    return True


def _ids(runs: list[Run]) -> list[str]:
    return [run.run_id for run in runs]
