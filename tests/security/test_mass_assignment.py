"""What a body says of who sends it, or of whose a thing is: passed over, or refused, and never believed.

Every route that writes is taken from the OpenAPI document, so that a new one is here without anybody's doing; what
Prometheus and devices send is beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from plexus.gateway import Gateway
from plexus.gateway.rest.samples import SAMPLES
from plexus.ports.keyring import SCOPES
from tests.gateway.test_ingest import stored
from tests.gateway.test_remotewrite import HEADERS, T_MS, packed, series
from tests.support.gateway import device, http, make_key, running

OWN, ANOTHERS = "acme", "other"
INGEST = ("/ingest", "/api/ingest")
POINT = {"metric": "t", "value": 1}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "register_source": {"slug": "new"},
    "announce_run": {"run_id": "new", "source_id": "rig", "status": "started", "timestamp": 1_746_969_660_000},
    "create_key": {"name": "new", "scopes": ["write"], "source_id": "rig"},
    "rename_source": {"source_id": "rig2"},
}
QUERIES = {"remove_data": "?metrics=t&dry_run=1"}
LAST = ("revoke_key", "rename_source", "delete_source")
FIELDS = {"org": ANOTHERS, "org_id": ANOTHERS, "organisation": ANOTHERS} | dict.fromkeys(
    ("role", "scope", "actor", "key_id", "admin"), "admin"
)
REFUSED: Mapping[tuple[str, bool], Mapping[str, int]] = {
    ("org", False): {"POST /v1/admin/keys": 403},
    ("org", True): {"POST /v1/admin/keys": 403},
    ("source_id", False): {"PATCH /v1/sources/rig": 409},  # the new name, which its own organisation has by then
    ("source_id", True): {
        "POST /ingest": 403,
        "POST /api/ingest": 403,
        "POST /api/runs": 403,
        "POST /v1/admin/keys": 403,
    },
}
"""By field, and whether the key is limited to a source: where the field is one of the route's own, what it answers
instead of what it says without the field. Everywhere else the answer is the same."""


@attrs.frozen
class Writing:
    """One request that writes."""

    name: str
    method: str
    path: str
    body: Mapping[str, Any]


@attrs.frozen
class World:
    """A gateway with a source `rig` beside an `arm`, and another organisation with a `theirs` and an `arm`."""

    gateway: Gateway
    limited: str
    """A key that may do everything, to `rig` alone."""
    whole: str
    """One that may do everything, in its organisation."""
    victim: str
    """The id of a key of `rig`'s."""

    def ask(self, key: str, writing: Writing, more: Mapping[str, Any]) -> int:
        """The status of a request that says more than it needs."""
        path = writing.path.replace("{key_id}", self.victim)
        with http(self.gateway, key) as client:
            return client.request(writing.method, path, json={**writing.body, **more}).status_code

    def others(self) -> list[Any]:
        """All that is not `rig`'s."""
        core = self.gateway.core
        entries = [entry for _number, entry in core.audit.entries(OWN)]
        return [
            {name: stored(self.gateway, name, ANOTHERS) for name in ("rig", "arm", "theirs", "new")},
            sorted(core.store.sources(ANOTHERS)),
            core.registry.registered(ANOTHERS),
            core.registry.runs(ANOTHERS, None, None),
            core.metadata.of(ANOTHERS, "theirs"),
            list(core.audit.entries(ANOTHERS)),
            [info for info in core.keyring.list() if info.org == ANOTHERS or info.source_id == "arm"],
            stored(self.gateway, "arm", OWN),
            core.registry.runs(OWN, "arm", None),
            core.metadata.of(OWN, "arm"),
            [entry for entry in entries if "arm" in (entry.subject, entry.detail.get("source_id"))],
        ]


@contextmanager
def world() -> Iterator[World]:
    """Made anew for every sequence of requests."""
    with running() as gateway:
        whole = make_key(gateway, *SCOPES, org=OWN)
        for key, names in ((whole, ("rig", "arm")), (make_key(gateway, *SCOPES, org=ANOTHERS), ("theirs", "arm"))):
            with http(gateway, key) as client:
                for name in names:
                    assert client.post("/ingest", json={"source_id": name, "points": [POINT]}).status_code == 200
                run = {**BODIES["announce_run"], "run_id": "r", "source_id": names[0]}
                assert client.post("/api/runs", json=run).status_code == 200
        _text, victim = gateway.core.keyring.create(OWN, "victim", ["write"], source_id="rig")
        yield World(gateway, make_key(gateway, *SCOPES, org=OWN, source_id="rig"), whole, victim.key_id)


def writings(gateway: Gateway) -> list[Writing]:
    """Every operation of the document that is no GET, and the routes of points; what takes away comes last."""
    found = {path: Writing("ingest", "POST", path, {"source_id": "rig", "points": [POINT]}) for path in INGEST}
    with http(gateway) as client:
        paths = client.get("/openapi.json").json()["paths"]
    for path, item in paths.items():
        for method, operation in item.items():
            name = operation["operationId"]
            if method == "get" or path in (*INGEST, "/api/v1/write"):
                continue
            sample = SAMPLES[name].body if name in SAMPLES else None
            where = path.replace("{source_id}", "rig").replace("{run_id}", "r").replace("{name}", "t")
            body = BODIES.get(name) or sample or {}
            found[name] = Writing(name, method.upper(), where + QUERIES.get(name, ""), body)
    return sorted(found.values(), key=lambda writing: LAST.index(writing.name) if writing.name in LAST else -1)


def told(limited: bool, more: Mapping[str, Any]) -> dict[str, int]:
    """The status of every writing route to a body with `more` in it; nobody else's things may have changed by them."""
    statuses: dict[str, int] = {}
    with world() as made:
        before = made.others()
        for writing in writings(made.gateway):
            made.ask(made.whole, Writing("", "POST", "/ingest", {"source_id": "rig", "points": [POINT]}), {})
            key = made.limited if limited else made.whole
            statuses[f"{writing.method} {writing.path}"] = made.ask(key, writing, more)
            assert made.others() == before, writing
        rights = {(info.org, info.scopes) for info in made.gateway.core.keyring.list() if info.name == "new"}
        assert rights <= {(OWN, frozenset({"write"}))}
    return statuses


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("field", [*FIELDS, "source_id"])
def test_nothing_that_a_body_says_of_its_sender_is_believed(field: str, limited: bool) -> None:
    value = FIELDS.get(field, "arm" if limited else "theirs")
    plain, said = told(limited, {}), told(limited, {field: value})
    assert len(plain) > 12
    assert sum(status < 300 for status in plain.values()) >= (10 if limited else 13)
    assert {route: status for route, status in said.items() if status != plain[route]} == REFUSED.get(
        (field, limited), {}
    )


@pytest.mark.parametrize("path", INGEST)
def test_a_point_of_another_source_is_refused_with_its_message(path: str) -> None:
    with world() as made:
        before, own = made.others(), stored(made.gateway, "rig", OWN)
        points = [POINT, {**POINT, "source_id": "arm", "org": ANOTHERS}]
        assert made.ask(made.limited, Writing("", "POST", path, {"source_id": "rig", "points": points}), {}) == 403
        assert made.others() == before
        assert stored(made.gateway, "rig", OWN) == own


@pytest.mark.parametrize("labels", [{"instance": "arm"}, {"instance": "rig", "source_id": "arm"}])
def test_a_sample_of_another_source_is_refused_and_an_organisation_is_a_tag(labels: dict[str, str]) -> None:
    with world() as made:
        before = made.others()
        own, anothers = (
            series({"__name__": "t", "org": ANOTHERS, "role": "admin", **whose}, [(2.0, T_MS)])
            for whose in ({"instance": "rig"}, labels)
        )
        with http(made.gateway, made.limited) as client:
            answer = client.post("/api/v1/write", content=packed(own, anothers), headers=HEADERS)
        assert (answer.status_code, "sample 1" in answer.text) == (400, True)
        assert made.others() == before
        assert sorted(stored(made.gateway, "rig", OWN)) == [1, 2.0]


@pytest.mark.parametrize("field", [*FIELDS, "source_id"])
def test_a_device_is_its_keys_whatever_its_frames_say(field: str) -> None:
    said = {field: FIELDS.get(field, "arm")}
    with world() as made:
        before = made.others()
        hello = {} if field == "source_id" else said
        with device(made.gateway, "rig", key=made.limited, acks=True, **hello) as wire:
            assert wire.authenticated["source_id"] == "rig"
            wire.telemetry(POINT, seq=1, **said)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
            wire.telemetry({**POINT, **said}, seq=2)
            assert wire.hear()["type"] == ("error" if field == "source_id" else "telemetry_ack")
        assert made.others() == before
        assert len(stored(made.gateway, "rig", OWN)) == (2 if field == "source_id" else 3)
