"""Runs announced to the app over HTTP, in the body of 0.5.2 (protocol page, section 5).

0.5.2 knows "started" and "ended". That a run was aborted is said after its end in the way of 0.11.0, with a PATCH,
which an older app does not have and may refuse.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from plexus._version import __version__
from plexus.domain.errors import ApiError, AuthenticationError, ConfigurationError, DeliveryError
from plexus.domain.names import KEY_PREFIX
from plexus.domain.run import Run

if TYPE_CHECKING:
    import httpx

PATH = "/api/runs"
MAX_BODY_CHARS = 4_096
UNKNOWN_SOURCE = "NOT_FOUND"
_LATER = frozenset({408, 425, 429})
_NO_SUCH_ROUTE = frozenset({404, 405, 501})
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class RequestRunRegistry:
    """Announces to the app at `app_url`; `timeout` in seconds bounds each step of a request.

    `trust` makes the TLS context: by default the system's certificates, or those of SSL_CERT_FILE. Redirects are not
    followed, so that the key goes to no other host than was named. Raises ConfigurationError for a key that no header
    can carry.
    """

    def __init__(
        self,
        app_url: str,
        api_key: str,
        timeout: float = 10.0,
        *,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("the API key holds characters that no key has: copy it again")
        self._app_url = app_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._trust = trust
        self._client: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"RequestRunRegistry({self._app_url!r})"

    def announce(self, run: Run) -> None:
        """Post the start or the end of a run."""
        self._ask("POST", PATH, _body(run))
        if run.status == "aborted":
            self._abort(run)

    def close(self) -> None:
        """Let go of the connection; an announcement after it makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _abort(self, run: Run) -> None:
        ended = (_EPOCH + timedelta(milliseconds=_boundary_ms(run))).isoformat()
        try:
            self._ask("PATCH", f"{PATH}/{quote(run.run_id, safe='')}", {"status": "aborted", "ended_at": ended})
        except ApiError as exc:
            if exc.status not in _NO_SUCH_ROUTE:
                raise

    def _ask(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        import httpx

        try:
            answer = self._connected().request(method, self._app_url + path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise DeliveryError(
                f"{method} {self._app_url}{path} failed: {self._hidden(str(exc)) or type(exc).__name__}; "
                "check the network and the address in PLEXUS_ENDPOINT or PLEXUS_URL"
            ) from exc
        if not answer.is_success:
            raise self._refusal(f"{method} {path}", answer)

    def _refusal(self, asked: str, answer: httpx.Response) -> Exception:
        status, text = answer.status_code, self._hidden(answer.text)[:MAX_BODY_CHARS]
        said = f"{self._app_url} answered {status} to {asked}: {text[:200]}"
        if status in (401, 403):
            return AuthenticationError(f"{said}; check the API key and that it has the scope write")
        if status == 404 and UNKNOWN_SOURCE in text and not asked.startswith("PATCH"):
            # The source is known from its first points on, which may be on their way.
            return DeliveryError(said)
        if status >= 500 or status in _LATER:
            return DeliveryError(said)
        return ApiError(said, status=status, body=text, request_id=answer.headers.get("x-request-id", ""))

    def _hidden(self, text: str) -> str:
        """Somebody else's words, without the key in case that they repeat it."""
        return text.replace(self._api_key, f"{KEY_PREFIX}…") if self._api_key else text

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx  # a device that announces no run does not load it

            secure = self._app_url.startswith("https:")
            self._client = httpx.Client(
                # Reading the system's store takes tens of milliseconds; plain HTTP has no use for it.
                verify=self._trust() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                timeout=self._timeout,
                follow_redirects=False,
                headers={"x-api-key": self._api_key, "user-agent": f"plexus-python/{__version__}"},
            )
        return self._client


def _body(run: Run) -> dict[str, Any]:
    body: dict[str, Any] = {
        "run_id": run.run_id,
        "source_id": run.source_id,
        "status": "started" if run.status == "running" else "ended",
        "tags": dict(run.tags),
        "timestamp": _boundary_ms(run) / 1000.0,
    }
    if run.metadata:
        body["metadata"] = dict(run.metadata)
    return body


def _boundary_ms(run: Run) -> float:
    return run.started_ms if run.status == "running" or run.ended_ms is None else run.ended_ms
