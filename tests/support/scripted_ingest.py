"""The half of a scripted gateway that answers `POST /ingest`, in plain json, and the records that both halves keep."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

API_KEY = "plx_scripted_gateway_key_0123456789abcdef"
_POINT_FIELDS = {"class", "metric", "value", "timestamp", "tags", "run_id", "source_id"}


@attrs.frozen
class Ingest:
    """One `POST /ingest`, and when it came (monotonic seconds)."""

    at: float
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    status: int


@attrs.frozen
class _Planned:
    status: int
    body: bytes
    headers: Mapping[str, str]


class IngestServer:
    """Records what is posted to it, answers by the book or as ordered, and notes what its release would not know."""

    probe_status = 200
    """What an ingest of no points is answered with."""

    def __init__(self, api_key: str = API_KEY) -> None:
        self.api_key = api_key
        self.requests: list[Ingest] = []
        self.app_requests: list[tuple[str, str, Any]] = []
        self.stored: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self._lock = threading.RLock()
        self._planned: deque[_Planned] = deque()
        self._http: ThreadingHTTPServer | None = None
        self._threads: list[threading.Thread] = []
        self.http_port = 0

    # --- records and orders ---------------------------------------------------------------------------------

    def values(self, metric: str) -> list[Any]:
        """The stored values of a metric, in the order of storing."""
        with self._lock:
            return [point["value"] for point in self.stored if point["metric"] == metric]

    def ingests(self) -> list[Ingest]:
        """The requests that carried points."""
        with self._lock:
            return [request for request in self.requests if request.body.get("points")]

    def answer_next(
        self,
        status: int,
        body: bytes | Mapping[str, Any] = b"",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next ingest with points so, and store nothing of it."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self._lock:
            self._planned.extend([_Planned(status, raw, headers or {})] * times)

    def store(self, points: list[dict[str, Any]], source_id: str, via: str) -> None:
        """Keep points."""
        with self._lock:
            self.stored += [{"source_id": source_id, **point, "via": via} for point in points]

    # --- the server -----------------------------------------------------------------------------------------

    def _start_http(self) -> None:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", "0")))
                if self.headers.get("content-encoding") == "gzip":
                    raw = gzip.decompress(raw)
                gateway._post(self, raw)

            def do_GET(self) -> None:
                gateway._reply(self, _Planned(405, b'{"error":"method not allowed"}', {}))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False
        self.http_port = self._http.server_address[1]
        self._run(self._http.serve_forever, 0.05)

    def _post(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = json.loads(raw)
        if handler.path not in ("/ingest", "/api/ingest"):
            with self._lock:
                self.app_requests.append(("POST", handler.path, body))
            self._reply(handler, _Planned(200, b"{}", {}))
            return
        answer = self._ingest(headers, body)
        with self._lock:
            self.requests.append(Ingest(time.monotonic(), handler.path, headers, body, answer.status))
        self._reply(handler, answer)

    def _ingest(self, headers: Mapping[str, str], body: dict[str, Any]) -> _Planned:
        if headers.get("x-api-key") != self.api_key:
            return _Planned(401, b'{"error":"invalid API key"}', {})
        points = body.get("points")
        if not isinstance(points, list):
            return _Planned(400, b'{"error":"points must be an array"}', {})
        if not points and self.probe_status != 200:
            return _Planned(self.probe_status, b'{"error":"points must not be empty"}', {})
        with self._lock:
            if points and self._planned:
                return self._planned.popleft()
        self._check_body(body)
        self.store(points, body.get("source_id", ""), "http")
        answer = {"success": True, "count": len(points), "dropped": 0, "source_id": body.get("source_id")}
        return _Planned(200, json.dumps(answer).encode(), {})

    def _reply(self, handler: BaseHTTPRequestHandler, answer: _Planned) -> None:
        handler.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def _stop_http(self) -> None:
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(10.0)

    # --- what a release does not know -----------------------------------------------------------------------

    def _check_body(self, body: dict[str, Any]) -> None:
        if unknown := set(body) - {"source_id", "points"}:
            self._violated(f"an ingest body with {sorted(unknown)}")
        self._check_points(body["points"])

    def _check_points(self, points: list[dict[str, Any]]) -> None:
        if len(points) > 10_000:
            self._violated(f"a message of {len(points)} points")
        for point in points:
            if unknown := set(point) - _POINT_FIELDS:
                self._violated(f"a point with {sorted(unknown)}")
            stamp = point.get("timestamp")
            if not isinstance(stamp, (int, float)) or isinstance(stamp, bool) or stamp != int(stamp):
                self._violated(f"a timestamp of {stamp!r}")
            number = isinstance(point.get("value"), (int, float)) and not isinstance(point.get("value"), bool)
            if point.get("class") == "metric" and not number:
                self._violated(f"a metric of {point.get('value')!r}")

    def _violated(self, what: str) -> None:
        with self._lock:
            self.violations.append(what)

    def _run(self, target: Callable[..., object], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="scripted-gateway")
        self._threads.append(thread)
        thread.start()
