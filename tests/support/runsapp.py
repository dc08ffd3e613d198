"""An app that knows runs, behind respx: what `POST /api/runs` and `PATCH /api/runs/{id}` tell it."""

from __future__ import annotations

import json
from datetime import datetime
from urllib.parse import unquote

import attrs
import httpx
import respx

from plexus.domain.run import Run

URL = "https://app.example.com"


class RunsApp:
    """Answers as the app does; `requests` are what came, `refuse` answers everything with a status of its own."""

    def __init__(self, *, patches: bool = True) -> None:
        self.runs: dict[str, Run] = {}
        self.requests: list[httpx.Request] = []
        self.refusal: httpx.Response | Exception | None = None
        self._patches = patches
        self.router = respx.MockRouter(assert_all_called=False)
        self.router.route(host="app.example.com").mock(side_effect=self._answer)

    def bodies(self) -> list[dict[str, object]]:
        return [json.loads(request.content) for request in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.refusal, Exception):
            raise self.refusal
        if self.refusal is not None:
            return self.refusal
        body = json.loads(request.content)
        if request.method == "POST" and request.url.path == "/api/runs":
            self._told(body)
            return httpx.Response(200, json={"run": {"id": body["run_id"]}})
        if request.method == "PATCH" and self._patches:
            run_id = unquote(request.url.raw_path.decode().removeprefix("/api/runs/"))
            ended_ms = datetime.fromisoformat(body["ended_at"]).timestamp() * 1000.0
            self.runs[run_id] = attrs.evolve(self.runs[run_id], status=body["status"], ended_ms=ended_ms)
            return httpx.Response(200, json={"run": {"id": run_id}})
        return httpx.Response(405, json={"error": "method not allowed"})

    def _told(self, body: dict[str, object]) -> None:
        run_id, at_ms = str(body["run_id"]), float(str(body["timestamp"])) * 1000.0
        known = self.runs.get(run_id)
        if body["status"] == "ended" and known is not None:
            self.runs[run_id] = attrs.evolve(known, status="completed", ended_ms=at_ms)
        elif known is None or known.started_ms != at_ms:
            source = body["source_id"]
            tags = body["tags"]
            assert isinstance(tags, dict)
            self.runs[run_id] = Run(run_id, run_id, str(source), "running", at_ms, tags=tags)
