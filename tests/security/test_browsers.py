"""What a browser makes of the gateway's answers: nothing. There is no page, and no answer that could be taken for one.

So what devices and users name their things cannot run in anybody's browser, whatever it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from plexus.gateway.rest.samples import SAMPLES
from tests.security.target import Target

PAYLOAD = "<script>alert(1)</script>"
BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
QUERIES = {
    "query_metrics": {"last": "1h"},
    "fleet_metrics": {"metric": PAYLOAD},
    "export": {"sources": "rig-01"},
    "remove_data": {"metrics": PAYLOAD, "dry_run": "1"},
}
KINDS = {"application/json", "text/csv", "text/plain", "application/x-tar"}
"""What answers are, by themselves; a browser's `accept` asks for none of the others, and gets none."""
ACTIVE = ("html", "xml", "svg", "javascript", "pdf", "octet-stream")
LAST = ("delete_source", "rename_source", "revoke_key")


@pytest.fixture(scope="module")
def haunted(served: Target) -> Target:
    """A gateway whose every text is a script."""
    tags = {PAYLOAD: PAYLOAD}
    point = {"metric": PAYLOAD, "value": 1, "tags": tags, "run_id": PAYLOAD}
    event = {"class": "event", "metric": PAYLOAD, "value": {PAYLOAD: PAYLOAD}, "tags": tags}
    served.post("/ingest", {"source_id": "rig-01", "points": [point, event]})
    served.post("/api/runs", {"run_id": PAYLOAD, "source_id": "rig-01", "status": "started", "name": PAYLOAD})
    path = f"/v1/sources/rig-01/metrics/{quote(PAYLOAD, safe='')}"
    assert served.request("PUT", path, json={"description": PAYLOAD}).status_code == 200
    return served


def _routes(target: Target) -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """Operation, method, path and what the document says of it; what takes away comes last."""
    found = [
        (operation.get("operationId", path), method.upper(), path, operation)
        for path, item in target.get("/openapi.json")["paths"].items()
        for method, operation in item.items()
    ]
    return sorted(found, key=lambda route: route[0] in LAST)


def _answers(target: Target) -> Iterator[tuple[str, Mapping[str, Any], httpx.Response]]:
    """Each route asked with the key and with none, for what is there and for what is not."""
    for name, method, pattern, said in _routes(target):
        path = pattern.replace("{source_id}", "rig-01")
        for word in ("{run_id}", "{name}", "{key_id}"):
            path = path.replace(word, quote(PAYLOAD, safe=""))
        sample = SAMPLES[name].body if name in SAMPLES else None
        body = {} if sample is None else {"json": sample}
        for key in ({"x-api-key": target.key}, {}):
            for where in (path, path.replace("rig-01", quote(PAYLOAD, safe=""))):
                headers = {**BROWSER, **key}
                yield (
                    name,
                    said,
                    target.request(
                        method, where, headers=headers, params=QUERIES.get(name, {}), follow_redirects=False, **body
                    ),
                )


def test_no_answer_is_a_page_or_anything_that_runs(haunted: Target) -> None:
    seen: dict[str, set[int]] = {}
    for name, said, answer in _answers(haunted):
        told = f"{name}: {answer.status_code} {answer.headers}"
        kind = answer.headers["content-type"].partition(";")[0]
        assert answer.headers["x-content-type-options"] == "nosniff", told
        assert kind in KINDS, told
        assert not [word for word in ACTIVE if word in kind], told
        if answer.is_success:
            assert kind in said["responses"][str(answer.status_code)]["content"], told
        else:
            assert kind == "application/json", told
        seen.setdefault(name, set()).add(answer.status_code)
    assert len(seen) > 30
    # Most are seen at work, and all but the open ones refuse who shows no key; measures are open to this machine.
    assert sum(any(status < 300 for status in statuses) for statuses in seen.values()) > 20
    assert {name for name, statuses in seen.items() if 401 not in statuses} == {"healthz", "readyz", "metrics"}


@pytest.mark.parametrize("path", ["/", "/index.html", "/favicon.ico", "/robots.txt", f"/{PAYLOAD}", "/v1/devices"])
def test_neither_is_what_a_browser_finds_where_nothing_is(haunted: Target, path: str) -> None:
    answer = haunted.request("GET", path, headers={**BROWSER, "x-api-key": haunted.key})
    assert answer.status_code in (301, 307, 308, 404)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not answer.content or answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/ws/device", "/v1/sources/rig-01/metrics/stream", "/nowhere"])
def test_a_socket_that_is_refused_is_no_page_either(target: Target, path: str) -> None:
    status, told = target.raw().upgrade(path, {"origin": "http://evil.example"})
    assert status in (403, 404)
    assert told["content-type"] == "application/json"
    assert told["x-content-type-options"] == "nosniff"
