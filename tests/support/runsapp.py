"""An app that knows runs and sources, behind respx: what `/api/runs` and `/api/sources` tell it, its answers."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote

import attrs
import httpx
import respx

from plexus.domain.run import Criterion, Run

URL = "https://app.example.com"


class RunsApp:
    """Answers as the app does; `requests` are what came.

    `refusal` answers everything in its place; `deaf` takes the next requests in and breaks the connection then.
    `knows` None: every source is known. Without `registers` there is no `/api/sources`, without `patches` no PATCH.
    """

    def __init__(self, *, patches: bool = True, knows: set[str] | None = None, registers: bool = True) -> None:
        self.runs: dict[str, Run] = {}
        self.requests: list[httpx.Request] = []
        self.refusal: httpx.Response | Exception | None = None
        self.deaf = 0
        self.knows = knows
        self._patches = patches
        self._registers = registers
        self.router = respx.MockRouter(assert_all_called=False)
        self.router.route(host="app.example.com").mock(side_effect=self._answer)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests if request.content]

    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.refusal, Exception):
            raise self.refusal
        if self.refusal is not None:
            return self.refusal
        answer = self._routed(request)
        if self.deaf:
            self.deaf -= 1
            raise httpx.ReadTimeout("no answer")
        return answer

    def _routed(self, request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) == ("GET", "/api/runs"):
            return httpx.Response(200, json={"runs": [_item(run) for run in self.runs.values()]})
        body = json.loads(request.content)
        if (request.method, request.url.path) == ("POST", "/api/runs"):
            return self._post(body)
        if (request.method, request.url.path) == ("POST", "/api/sources") and self._registers:
            return self._register(body["slug"])
        if request.method == "PATCH" and self._patches:
            return self._patch(unquote(request.url.raw_path.decode().removeprefix("/api/runs/")), body)
        return httpx.Response(405, json={"error": "method not allowed"})

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        source = body["source_id"]
        if self.knows is not None and source is not None and source not in self.knows:
            return httpx.Response(404, json={"error": f"NOT_FOUND: there is no source {source!r}"})
        if "run_id" in body:
            self._told(body)
            return httpx.Response(200, json={"run": {"id": body["run_id"]}})
        run = Run(
            run_id=f"run-{len(self.runs) + 1}",
            name=body["name"],
            source_id=source,
            status="running",
            started_ms=_ms(body["started_at"]),
            tags=body["tags"],
            metadata=body["metadata"],
            pass_criteria=tuple(Criterion(**item) for item in body["pass_criteria"]),
        )
        self.runs[run.run_id] = run
        return httpx.Response(200, json={"run": _item(run)})

    def _register(self, slug: str) -> httpx.Response:
        if self.knows is None or slug in self.knows:
            return httpx.Response(409, json={"error": "it is registered already"})
        self.knows.add(slug)
        return httpx.Response(201, json={"source_id": slug, "slug": slug})

    def _patch(self, run_id: str, body: dict[str, Any]) -> httpx.Response:
        if run_id not in self.runs:
            return httpx.Response(404, json={"error": f"NOT_FOUND: there is no run {run_id!r}"})
        run = attrs.evolve(self.runs[run_id], status=body["status"], ended_ms=_ms(body["ended_at"]))
        self.runs[run_id] = run
        result = {
            "passed": False,
            "criteria_results": [{**each.to_wire(), "passed": False} for each in run.pass_criteria],
        }
        return httpx.Response(
            200, json={"run": {**_item(run), **({"test_result": result} if run.pass_criteria else {})}}
        )

    def _told(self, body: dict[str, Any]) -> None:
        run_id, at_ms = str(body["run_id"]), float(body["timestamp"]) * 1000.0
        known = self.runs.get(run_id)
        if body["status"] == "ended" and known is not None:
            self.runs[run_id] = attrs.evolve(known, status="completed", ended_ms=at_ms)
        elif known is None or known.started_ms != at_ms:
            self.runs[run_id] = Run(run_id, run_id, body["source_id"], "running", at_ms, tags=body["tags"])


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000.0


def _item(run: Run) -> dict[str, Any]:
    started = datetime.fromtimestamp(run.started_ms / 1000.0, timezone.utc).isoformat()
    return {"id": run.run_id, "name": run.name, "source_id": run.source_id, "status": run.status, "started_at": started}
