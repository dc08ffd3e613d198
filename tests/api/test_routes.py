"""Every route, as both clients ask it and read its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
import httpx
import pytest
import respx

from plexus.api.answers import Identity
from plexus.api.tables import FleetMetrics, QueryResult
from plexus.domain.asked import CommandStatus, CommandStep, DeclaredCommand, SentCommand, SourceCommands
from plexus.domain.event import Event
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Criterion, CriterionResult, Judgement, Run
from plexus.domain.series import Series
from plexus.domain.source import Delivery, FleetHealth, Removal, Source
from tests.api.asking import KEY, URL, Ask, Question

SOURCE = {"source_id": "a1", "online": True, "last_seen_ms": 5.0}
DELIVERY = {
    "source_id": "a1",
    "lost": 0,
    "gaps": [],
    "batches": 4,
    "duplicates": 3,
    "gaps_refused": 2,
    "forks": 1,
}
VOLTAGE = {"name": "volt", "unit": "V", "description": None, "low": 10.5, "high": None}
COMMAND = {
    "run_id": "c7",
    "source_id": "a1",
    "command": "reboot",
    "kind": "run",
    "state": "succeeded",
    "actor": "k1",
    "attempts": 1,
    "asked_ms": 1.5,
    "expires_ms": 30_001.5,
    "changed_ms": 4.0,
    "error_code": None,
    "error_message": None,
}
COMMAND_WHOLE = {
    **COMMAND,
    "params": {"delay_s": 3},
    "result": {"ok": True},
    "steps": [{"at_ms": 4.0, "state": "succeeded", "attempt": 1, "progress": None, "message": "done"}],
}
READ_COMMAND = CommandStatus("c7", "a1", "reboot", "run", "succeeded", "k1", 1, 1.5, 30_001.5, 4.0)
RUN = {
    "id": "r/1",
    "name": "thermal",
    "source_id": "a1",
    "status": "completed",
    "started_at": "2026-05-01T12:00:00+02:00",
    "ended_at": "2026-05-01T10:00:01.5Z",
    "tags": {"chamber": "2"},
    "metadata": {"operator": None},
    "pass_criteria": [{"metric": "volt", "operator": ">", "value": 11, "label": ""}],
    "test_result": {
        "passed": True,
        "criteria_results": [{"metric": "volt", "operator": ">", "value": 11, "label": "", "passed": True}],
    },
}
READ_RUN = Run(
    "r/1",
    "thermal",
    "a1",
    "completed",
    1_777_629_600_000.0,
    1_777_629_601_500.0,
    {"chamber": "2"},
    {"operator": None},
    [Criterion("volt", ">", 11)],
    Judgement(True, [CriterionResult("volt", ">", 11, "", True)]),
)
NOON = "2026-05-01T12:00:00Z"
NOON_SENT = "2026-05-01T12:00:00.000000Z"
QUERY = {
    "interval": "raw",
    "auto_downsampled": False,
    "series": {"rpm": {"timestamp_ms": [1], "value": [2]}},
    "truncated": False,
}


@attrs.frozen
class Row:
    """One route: how it is asked, what is on the wire, what comes back. `sent` is the body as JSON, None for none."""

    ask: Question
    method: str
    target: str
    answer: Any
    expected: Any
    sent: Mapping[str, Any] | None = None
    status: int = 200


ROUTES: Mapping[str, Row] = {
    "sources.list": Row(
        lambda api: api.sources.list(), "GET", "/v1/sources", {"devices": [SOURCE]}, [Source("a1", True, 5.0)]
    ),
    "sources.list of a status": Row(
        lambda api: api.sources.list("offline"), "GET", "/v1/sources?status=offline", {"devices": []}, []
    ),
    "sources.get": Row(lambda api: api.sources.get("a1"), "GET", "/v1/sources/a1", SOURCE, Source("a1", True, 5.0)),
    "sources.delivery": Row(
        lambda api: api.sources.delivery("a1"),
        "GET",
        "/v1/sources/a1/delivery",
        DELIVERY,
        Delivery("a1", 0, [], 4, 3, 2, 1),
    ),
    "sources.register": Row(
        lambda api: api.sources.register("a1", device_type="drone", metadata={"hull": 7}),
        "POST",
        "/api/sources",
        {"source_id": "a1", "slug": "a1"},
        "a1",
        {"slug": "a1", "device_type": "drone", "metadata": {"hull": 7}},
        201,
    ),
    "sources.rename": Row(
        lambda api: api.sources.rename("b2", "a1"),
        "PATCH",
        "/v1/sources/b2",
        SOURCE,
        Source("a1", True, 5.0),
        {"source_id": "a1"},
    ),
    "sources.delete": Row(lambda api: api.sources.delete("a1"), "DELETE", "/v1/sources/a1", {"source_id": "a1"}, None),
    "metrics.names": Row(lambda api: api.metrics.names("a1"), "GET", "/v1/sources/a1/metrics", ["b"], ["b"]),
    "metrics.details": Row(
        lambda api: api.metrics.details("a1"),
        "GET",
        "/v1/sources/a1/metrics?detail=1",
        [VOLTAGE, {"name": "rpm"}],
        [MetricInfo("volt", "V", None, 10.5), MetricInfo("rpm")],
    ),
    "metrics.describe": Row(
        lambda api: api.metrics.describe("a1", "volt/pack", unit="V", low=10.5),
        "PUT",
        "/v1/sources/a1/metrics/volt%2Fpack",
        {**VOLTAGE, "name": "volt/pack"},
        MetricInfo("volt/pack", "V", None, 10.5),
        {"unit": "V", "low": 10.5},
    ),
    "metrics.forget": Row(
        lambda api: api.metrics.forget("a1", "volt"), "DELETE", "/v1/sources/a1/metrics/volt", {"name": "volt"}, None
    ),
    "metrics.latest": Row(
        lambda api: api.metrics.latest("a1"), "GET", "/v1/sources/a1/metrics/latest", {"metrics": {"b": 1}}, {"b": 1}
    ),
    "metrics.query": Row(
        lambda api: api.metrics.query("a1", ["rpm", "volt"], start=NOON, end="2026-05-01T15:00:00+02:00"),
        "GET",
        f"/v1/sources/a1/metrics/query?metrics=rpm%2Cvolt&start={NOON_SENT}&end=2026-05-01T13:00:00.000000Z".replace(
            ":", "%3A"
        ),
        QUERY,
        QueryResult("raw", False, {"rpm": Series([1], [2])}),
    ),
    "metrics.query of names with a comma": Row(
        lambda api: api.metrics.query("a1", ["rpm", "gain,left"], last="1h", interval="raw"),
        "GET",
        "/v1/sources/a1/metrics/query?metrics=rpm&metric=gain%2Cleft&last=1h&interval=raw",
        QUERY,
        QueryResult("raw", False, {"rpm": Series([1], [2])}),
    ),
    "metrics.remove, counted": Row(
        lambda api: api.metrics.remove("a1", "rpm"),
        "DELETE",
        "/v1/sources/a1/data?metrics=rpm&dry_run=1",
        {"points": 3, "dry_run": True},
        Removal(3, True),
    ),
    "metrics.remove, confirmed": Row(
        lambda api: api.metrics.remove("a1", start=NOON, confirm=3),
        "DELETE",
        f"/v1/sources/a1/data?start={NOON_SENT}&confirm=3".replace(":", "%3A"),
        {"points": 3, "dry_run": False},
        Removal(3, False),
    ),
    "events.list": Row(
        lambda api: api.events.list("a1", last="2h", name="mode", limit=3),
        "GET",
        "/v1/sources/a1/events?last=2h&name=mode&limit=3",
        [{"timestamp_ms": 1, "metric": "mode", "value": "auto", "tags": {}}],
        [Event("mode", "auto", 1, {}, "a1")],
    ),
    "fleet.health": Row(
        lambda api: api.fleet.health(),
        "GET",
        "/v1/fleet/health",
        {"sources_total": 2, "sources_online": 1},
        FleetHealth(2, 1),
    ),
    "fleet.metrics": Row(
        lambda api: api.fleet.metrics("cpu.percent", last="1h", interval="1m"),
        "GET",
        "/v1/fleet/metrics?metric=cpu.percent&last=1h&interval=1m",
        {"metric": "c", "interval": "1m", "sources_online": 0, "sources_w_metric": 0, "sources": []},
        FleetMetrics("c", "1m", 0, 0, []),
    ),
    "commands.send": Row(
        lambda api: api.commands.send("a1", "reboot", {"delay_s": 3}),
        "POST",
        "/v1/sources/a1/commands",
        {"queued": True, "run_id": "c7"},
        SentCommand(True, "c7"),
        {"command": "reboot", "params": {"delay_s": 3}},
    ),
    "commands.send to the hosted service": Row(
        lambda api: api.commands.send("a1", "reboot"),
        "POST",
        "/v1/sources/a1/commands",
        {"queued": False},
        SentCommand(False),
        {"command": "reboot", "params": {}},
    ),
    "commands.list": Row(
        lambda api: api.commands.list("a1", state="succeeded", limit=1, before=9),
        "GET",
        "/v1/sources/a1/commands?state=succeeded&limit=1&before=9",
        {
            "source_id": "a1",
            "online": True,
            "declared": [
                {"name": "reboot", "typed": True, "params": {"delay_s": {"type": "integer"}}, "danger": "high"}
            ],
            "commands": [COMMAND],
            "next": 8,
        },
        SourceCommands(
            "a1",
            True,
            [DeclaredCommand("reboot", True, {"delay_s": {"type": "integer"}}, danger="high")],
            [READ_COMMAND],
            8,
        ),
    ),
    "commands.get": Row(
        lambda api: api.commands.get("c7"),
        "GET",
        "/v1/commands/c7",
        {"command": COMMAND_WHOLE},
        attrs.evolve(
            READ_COMMAND,
            params={"delay_s": 3},
            result={"ok": True},
            steps=[CommandStep(4.0, "succeeded", 1, None, "done")],
        ),
    ),
    "runs.list": Row(lambda api: api.runs.list(), "GET", "/api/runs", {"runs": [RUN]}, [READ_RUN]),
    "runs.list of a source and a status": Row(
        lambda api: api.runs.list("a1", status="running"),
        "GET",
        "/api/runs?source_id=a1&status=running",
        {"runs": []},
        [],
    ),
    "runs.get": Row(lambda api: api.runs.get("r/1"), "GET", "/api/runs/r%2F1", {"run": RUN}, READ_RUN),
    "runs.start": Row(
        lambda api: api.runs.start(
            "thermal", "a1", tags={"chamber": 2}, pass_criteria=[Criterion("volt", ">", 11)], started_at=NOON
        ),
        "POST",
        "/api/runs",
        {"run": RUN},
        READ_RUN,
        {
            "name": "thermal",
            "source_id": "a1",
            "started_at": NOON_SENT,
            "tags": {"chamber": "2"},
            "metadata": {},
            "pass_criteria": [{"metric": "volt", "operator": ">", "value": 11}],
        },
    ),
    "runs.end": Row(
        lambda api: api.runs.end("r/1", "aborted", ended_at=NOON),
        "PATCH",
        "/api/runs/r%2F1",
        {"run": RUN},
        READ_RUN,
        {"status": "aborted", "ended_at": NOON_SENT},
    ),
    "whoami": Row(
        lambda api: api.whoami(),
        "GET",
        "/api/auth/verify-key",
        {"org_id": "acme", "scopes": ["read"]},
        Identity("acme", ["read"]),
    ),
    "whoami of a key for one source": Row(
        lambda api: api.whoami(),
        "GET",
        "/api/auth/verify-key",
        {"org_id": "acme", "scopes": ["read"], "source_id": "a1"},
        Identity("acme", ["read"], "a1"),
    ),
}


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_is_asked_and_read(ask: Ask, server: respx.MockRouter, name: str) -> None:
    row = ROUTES[name]
    route = server.route().respond(row.status, json=row.answer)
    assert ask(row.ask) == row.expected
    request: httpx.Request = route.calls.last.request
    assert (request.method, str(request.url)) == (row.method, URL + row.target)
    assert request.headers["x-api-key"] == KEY
    assert "application/json" in request.headers["accept"]
    assert (json.loads(request.content) if request.content else None) == row.sent
    assert request.headers.get("content-type") == (None if row.sent is None else "application/json")


@pytest.mark.parametrize("name", ROUTES)
def test_what_a_newer_server_says_more_is_passed_over(ask: Ask, server: respx.MockRouter, name: str) -> None:
    row = ROUTES[name]
    server.route().respond(row.status, json=_with_more(row.answer, row.expected))
    assert ask(row.ask) == row.expected


def _with_more(answer: Any, expected: Any) -> Any:
    """The same with a field more in each object that is no mapping of the user's own names."""
    if isinstance(answer, list):
        return [_with_more(item, expected) for item in answer]
    if not isinstance(answer, dict):
        return answer
    free = ("metrics", "series", "tags", "metadata", "params", "result")
    return {
        "brand_new": [1],
        **{key: value if key in free else _with_more(value, expected) for key, value in answer.items()},
    }


@pytest.mark.parametrize("name", [name for name, row in ROUTES.items() if isinstance(row.answer, dict)])
def test_a_field_that_is_missing_names_itself(ask: Ask, server: respx.MockRouter, name: str) -> None:
    row = ROUTES[name]
    field = next(iter(row.answer))
    server.route().respond(row.status, json={key: value for key, value in row.answer.items() if key != field})
    with pytest.raises(Exception, match=f"{field} is missing"):
        ask(row.ask)


def test_a_sent_command_is_true_when_it_is_on_its_way() -> None:
    assert SentCommand(True, "c7")
    assert not SentCommand(False, "c7")


@pytest.mark.parametrize(
    ("state", "over"), [("queued", False), ("running", False), ("succeeded", True), ("offline", True), ("new", False)]
)
def test_a_command_says_whether_it_is_over(state: str, over: bool) -> None:
    assert attrs.evolve(READ_COMMAND, state=state).is_over is over


def test_times_without_a_name_are_now(ask: Ask, server: respx.MockRouter) -> None:
    route = server.route().respond(200, json={"run": RUN})
    ask(lambda api: api.runs.start("thermal"))
    ask(lambda api: api.runs.end("r/1"))
    started, ended = (json.loads(call.request.content) for call in route.calls)
    assert started["source_id"] is None
    assert started["started_at"] <= ended["ended_at"]
    assert ended["status"] == "completed"
