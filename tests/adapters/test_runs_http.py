"""Runs over HTTP: the body of 0.5.2, refusals by their kind, and no key in any message."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import attrs
import httpx
import pytest

from plexus._version import __version__
from plexus.adapters.runs.http import RequestRunRegistry
from plexus.domain.errors import ApiError, AuthenticationError, ConfigurationError, DeliveryError
from plexus.testing.contracts.runs import ABORTED, COMPLETED, NEWER, STARTED
from tests.support.runsapp import URL, RunsApp

KEY = "plx_canary_0123456789"


@pytest.fixture(name="app")
def _app() -> Iterator[RunsApp]:
    app = RunsApp()
    with app.router:
        yield app


@pytest.fixture(name="registry")
def _registry() -> Iterator[RequestRunRegistry]:
    registry = RequestRunRegistry(URL + "/", KEY)
    yield registry
    registry.close()


def test_a_start_is_the_body_of_0_5_2(app: RunsApp, registry: RequestRunRegistry) -> None:
    registry.announce(STARTED)
    assert app.bodies() == [
        {
            "run_id": "thermal/001",
            "source_id": "rig-01",
            "status": "started",
            "tags": {"chamber": "B"},
            "timestamp": 1_746_969_660.0,
        }
    ]
    assert str(app.requests[0].url) == f"{URL}/api/runs"
    assert app.requests[0].headers["x-api-key"] == KEY
    assert app.requests[0].headers["user-agent"] == f"plexus-python/{__version__}"


def test_an_end_carries_its_own_time(app: RunsApp, registry: RequestRunRegistry) -> None:
    registry.announce(COMPLETED)
    assert [(body["status"], body["timestamp"]) for body in app.bodies()] == [("ended", 1_746_969_720.5)]


def test_an_aborted_run_is_said_in_the_way_of_0_11_0_after_its_end(app: RunsApp, registry: RequestRunRegistry) -> None:
    registry.announce(ABORTED)
    assert [(request.method, request.url.raw_path) for request in app.requests] == [
        ("POST", b"/api/runs"),
        ("PATCH", b"/api/runs/thermal%2F001"),
    ]
    assert app.bodies()[1] == {"status": "aborted", "ended_at": "2025-05-11T13:22:00.500000+00:00"}


def test_an_older_app_that_knows_no_aborted_runs_is_served_all_the_same() -> None:
    app = RunsApp(patches=False)
    registry = RequestRunRegistry(URL, KEY)
    with app.router:
        registry.announce(STARTED)
        registry.announce(ABORTED)
    registry.close()
    assert app.runs["thermal/001"].status == "completed"


def test_metadata_goes_along_when_there_is_any(app: RunsApp, registry: RequestRunRegistry) -> None:
    registry.announce(attrs.evolve(STARTED, metadata={"store_frames": True}))
    assert app.bodies()[0]["metadata"] == {"store_frames": True}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_app_that_is_down_is_to_be_asked_again(app: RunsApp, registry: RequestRunRegistry, status: int) -> None:
    app.refusal = httpx.Response(status, text="later")
    with pytest.raises(DeliveryError, match=f"answered {status} to POST /api/runs: later"):
        registry.announce(STARTED)


def test_a_source_that_is_not_known_yet_is_to_be_asked_again(app: RunsApp, registry: RequestRunRegistry) -> None:
    app.refusal = httpx.Response(404, json={"error": "NOT_FOUND: no such source"})
    with pytest.raises(DeliveryError, match="NOT_FOUND"):
        registry.announce(STARTED)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_an_authentication_error(app: RunsApp, registry: RequestRunRegistry, status: int) -> None:
    app.refusal = httpx.Response(status, json={"error": f"no such key {KEY}"})
    with pytest.raises(AuthenticationError, match="check the API key") as caught:
        registry.announce(STARTED)
    assert "canary" not in str(caught.value)


def test_any_other_refusal_is_an_api_error_with_what_was_said(app: RunsApp, registry: RequestRunRegistry) -> None:
    app.refusal = httpx.Response(400, text=f"bad {KEY}", headers={"x-request-id": "r7"})
    with pytest.raises(ApiError, match="answered 400") as caught:
        registry.announce(STARTED)
    assert (caught.value.status, caught.value.body, caught.value.request_id) == (400, "bad plx_…", "r7")


def test_a_redirect_is_refused_and_not_followed(app: RunsApp, registry: RequestRunRegistry) -> None:
    app.refusal = httpx.Response(307, headers={"location": "https://elsewhere.example.com/api/runs"})
    with pytest.raises(ApiError, match="answered 307"):
        registry.announce(STARTED)
    assert len(app.requests) == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout(""), httpx.ReadError("cut")])
def test_a_network_failure_names_the_address(
    app: RunsApp, registry: RequestRunRegistry, failure: httpx.TransportError
) -> None:
    app.refusal = failure
    with pytest.raises(DeliveryError, match=r"app\.example\.com.*PLEXUS_ENDPOINT") as caught:
        registry.announce(STARTED)
    assert isinstance(caught.value.__cause__, httpx.TransportError)


def test_a_registry_that_was_closed_can_announce_again(app: RunsApp, registry: RequestRunRegistry) -> None:
    registry.announce(STARTED)
    registry.close()
    registry.announce(COMPLETED)
    assert len(app.requests) == 2


def test_a_key_that_no_header_carries_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="copy it again") as caught:
        RequestRunRegistry(URL, KEY + "\n")
    assert "canary" not in str(caught.value)


def test_the_key_is_not_in_its_repr(registry: RequestRunRegistry) -> None:
    assert "canary" not in repr(registry)


def test_certificates_are_trusted_by_whoever_composes_the_client(app: RunsApp) -> None:
    asked: list[bool] = []

    def trust() -> ssl.SSLContext:
        asked.append(True)
        return ssl.create_default_context()

    registry = RequestRunRegistry(URL, KEY, trust=trust)
    registry.announce(STARTED)
    registry.close()
    assert asked == [True]


class TestTheNewerKind:
    def test_a_run_is_opened_with_the_body_of_0_11_0(self, app: RunsApp, registry: RequestRunRegistry) -> None:
        assert registry.open(NEWER) == "run-1"
        assert app.bodies() == [
            {
                "name": "hotfire-03",
                "source_id": "rig-01",
                "started_at": "2025-05-11T13:21:00+00:00",
                "tags": {"chamber": "B"},
                "metadata": {"operator": "kt"},
                "pass_criteria": [
                    {"metric": "motor.temp_c", "operator": "<", "value": 85.0, "label": "stays cool"},
                ],
            }
        ]

    def test_a_run_is_ended_with_a_patch_whose_answer_holds_the_judgement(
        self, app: RunsApp, registry: RequestRunRegistry
    ) -> None:
        run_id = registry.open(NEWER)
        result = registry.end(attrs.evolve(COMPLETED, run_id=run_id))
        assert result is not None
        assert result["passed"] is False
        assert app.bodies()[1] == {"status": "completed", "ended_at": "2025-05-11T13:22:00.500000+00:00"}

    def test_a_run_whose_opening_was_not_answered_is_found_and_not_opened_twice(
        self, app: RunsApp, registry: RequestRunRegistry
    ) -> None:
        app.deaf = 1
        with pytest.raises(DeliveryError):
            registry.open(NEWER)
        assert registry.open(NEWER) == "run-1"
        assert len(app.runs) == 1
        assert app.asked() == ["POST /api/runs", "GET /api/runs"]

    def test_a_run_that_never_arrived_is_opened_again(self, app: RunsApp, registry: RequestRunRegistry) -> None:
        app.refusal = httpx.ConnectError("refused")
        with pytest.raises(DeliveryError):
            registry.open(NEWER)
        app.refusal = None
        assert registry.open(NEWER) == "run-1"
        assert app.asked()[1:] == ["GET /api/runs", "POST /api/runs"]

    def test_another_run_of_that_name_is_not_taken_for_it(self, app: RunsApp, registry: RequestRunRegistry) -> None:
        registry.open(attrs.evolve(NEWER, started_ms=NEWER.started_ms - 60_000.0))
        app.refusal = httpx.ConnectError("refused")
        with pytest.raises(DeliveryError):
            registry.open(NEWER)
        app.refusal = None
        assert registry.open(NEWER) == "run-2"

    @pytest.mark.parametrize("answer", [{}, {"run": {}}, {"run": {"id": 7}}, [], "welcome"])
    def test_an_answer_without_an_id_is_none_of_the_app(
        self, app: RunsApp, registry: RequestRunRegistry, answer: object
    ) -> None:
        app.refusal = httpx.Response(200, json=answer)
        with pytest.raises(ApiError, match=r"without the id of the run.*PLEXUS_ENDPOINT"):
            registry.open(NEWER)


class TestUnknownSources:
    def test_a_source_that_the_app_does_not_know_is_registered_and_the_run_told_again(self) -> None:
        app, registry = RunsApp(knows=set()), RequestRunRegistry(URL, KEY)
        with app.router:
            registry.announce(STARTED)
            registry.open(NEWER)
        registry.close()
        assert app.asked() == ["POST /api/runs", "POST /api/sources", "POST /api/runs", "POST /api/runs"]
        assert app.bodies()[1] == {"source_type": "device", "slug": "rig-01"}
        assert len(app.runs) == 2

    def test_a_source_that_was_registered_meanwhile_is_no_trouble(self, app: RunsApp) -> None:
        app.knows = {"rig-02"}
        registry = RequestRunRegistry(URL, KEY)
        registry.announce(attrs.evolve(STARTED, source_id="rig-02"))
        registry.close()
        assert app.asked() == ["POST /api/runs"]

    def test_an_app_that_registers_no_sources_is_to_be_asked_again(self) -> None:
        app, registry = RunsApp(knows=set(), registers=False), RequestRunRegistry(URL, KEY)
        with app.router, pytest.raises(DeliveryError, match="NOT_FOUND"):
            registry.announce(STARTED)
        registry.close()

    def test_a_run_of_the_whole_organisation_registers_nothing(self, app: RunsApp) -> None:
        registry = RequestRunRegistry(URL, KEY)
        assert registry.open(attrs.evolve(NEWER, source_id=None)) == "run-1"
        registry.close()
        assert app.bodies()[0]["source_id"] is None
