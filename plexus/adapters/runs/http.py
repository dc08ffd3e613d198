"""Runs told to the app over HTTP (protocol page, section 5): announced as in 0.5.2, opened and ended as in 0.11.0.

0.5.2 knows "started" and "ended". That a run was aborted is said after its end in the way of 0.11.0, with a PATCH,
which an older app does not have and may refuse.

In 0.11.0 the app names the run, so a request that was never answered may have made one already: before it is asked
again, the app's list is looked through for a run of that name, source and time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from plexus._version import __version__
from plexus.adapters.loading import loading
from plexus.domain.errors import ApiError, AuthenticationError, ConfigurationError, DeliveryError
from plexus.domain.isotime import parse_iso
from plexus.domain.names import KEY_PREFIX
from plexus.domain.run import Run
from plexus.ports.runs import TestResult

if TYPE_CHECKING:
    import ssl

    import httpx

PATH = "/api/runs"
SOURCES = "/api/sources"
MAX_BODY_CHARS = 4_096
UNKNOWN_SOURCE = "NOT_FOUND"
_LATER = frozenset({408, 425, 429})
_NO_SUCH_ROUTE = frozenset({404, 405, 501})
_EXISTS = 409
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
        trust: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("the API key holds characters that no key has: copy it again")
        self._app_url = app_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._trust = trust
        self._client: httpx.Client | None = None
        self._doubtful: set[tuple[str, float]] = set()

    def __repr__(self) -> str:
        return f"RequestRunRegistry({self._app_url!r})"

    def announce(self, run: Run) -> None:
        """Post the start or the end of a run."""
        self._post_run(_body(run), run)
        if run.status == "aborted":
            self._abort(run)

    def open(self, run: Run) -> str:
        """Post a new run; returns the id in the app's answer."""
        key = (run.name, run.started_ms)
        if key in self._doubtful:
            known = self._look_for(run)
            if known is not None:
                self._doubtful.discard(key)
                return known
        self._doubtful.add(key)
        answer = self._post_run(_new_body(run), run)
        # Answered, so there is no doubt; a failure that leaves one was raised before.
        self._doubtful.discard(key)
        return _id_of(_member(answer, "run"), self._app_url)

    def end(self, run: Run) -> TestResult | None:
        """Patch a run to its end; returns the judgement in the app's answer."""
        body = {"status": run.status, "ended_at": _iso(_boundary_ms(run))}
        answer = self._ask("PATCH", f"{PATH}/{quote(run.run_id, safe='')}", body)
        result = _member(_member(answer, "run"), "test_result")
        return result or None

    def close(self) -> None:
        """Let go of the connection; an announcement after it makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _abort(self, run: Run) -> None:
        try:
            self.end(run)
        except ApiError as exc:
            if exc.status not in _NO_SUCH_ROUTE:
                raise

    def _post_run(self, body: Mapping[str, Any], run: Run) -> Any:
        """Post it; a source that the app does not know is registered, and then it is posted again."""
        try:
            return self._ask("POST", PATH, body)
        except _UnknownSourceError:
            if run.source_id is None:
                raise
        try:
            self._ask("POST", SOURCES, {"source_type": "device", "slug": run.source_id})
        except ApiError as exc:
            if exc.status != _EXISTS and exc.status not in _NO_SUCH_ROUTE:
                raise
        return self._ask("POST", PATH, body)

    def _look_for(self, run: Run) -> str | None:
        query = {} if run.source_id is None else {"source_id": run.source_id}
        answer = self._ask("GET", PATH, query=query)
        for item in answer.get("runs", ()) if isinstance(answer, dict) else ():
            if (
                isinstance(item, dict)
                and item.get("name") == run.name
                and _is_at(item.get("started_at"), run.started_ms)
            ):
                return _id_of(item, self._app_url)
        return None

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's JSON, None when it is none."""
        with loading():
            import httpx

        try:
            answer = self._connected().request(method, self._app_url + path, json=body, params=query)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise DeliveryError(
                f"{method} {self._app_url}{path} failed: {self._hidden(str(exc)) or type(exc).__name__}; "
                "check the network and the address in PLEXUS_ENDPOINT or PLEXUS_URL"
            ) from exc
        if not answer.is_success:
            raise self._refusal(f"{method} {path}", answer)
        try:
            return answer.json()
        except ValueError:
            # What 0.5.2's app says to an announcement is nobody's business.
            return None

    def _refusal(self, asked: str, answer: httpx.Response) -> Exception:
        status, text = answer.status_code, self._hidden(answer.text)[:MAX_BODY_CHARS]
        said = f"{self._app_url} answered {status} to {asked}: {text[:200]}"
        if status in (401, 403):
            return AuthenticationError(f"{said}; check the API key and that it has the scope write")
        if status == 404 and UNKNOWN_SOURCE in text and asked == f"POST {PATH}":
            return _UnknownSourceError(said)
        if status >= 500 or status in _LATER:
            return DeliveryError(said)
        return ApiError(said, status=status, body=text, request_id=answer.headers.get("x-request-id", ""))

    def _hidden(self, text: str) -> str:
        """Somebody else's words, without the key in case that they repeat it."""
        return text.replace(self._api_key, f"{KEY_PREFIX}…") if self._api_key else text

    def _connected(self) -> httpx.Client:
        if self._client is None:
            with loading():
                # A device that announces no run loads neither.
                import ssl

                import httpx

            trust = self._trust or ssl.create_default_context
            secure = self._app_url.startswith("https:")
            self._client = httpx.Client(
                # Reading the system's store takes tens of milliseconds; plain HTTP has no use for it.
                verify=trust() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                timeout=self._timeout,
                follow_redirects=False,
                headers={"x-api-key": self._api_key, "user-agent": f"plexus-python/{__version__}"},
            )
        return self._client


class _UnknownSourceError(DeliveryError):
    """The app does not know the source yet; it does from its first points on, or once it is registered."""


def _member(answer: Any, name: str) -> dict[str, Any]:
    inner = answer.get(name) if isinstance(answer, dict) else None
    return inner if isinstance(inner, dict) else {}


def _id_of(item: Mapping[str, Any], app_url: str) -> str:
    run_id = item.get("id")
    if isinstance(run_id, str) and run_id:
        return run_id
    raise ApiError(f"{app_url} answered to POST {PATH} without the id of the run: is it the app? Check PLEXUS_ENDPOINT")


def _iso(ms: float) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat()


def _is_at(text: object, ms: float) -> bool:
    try:
        when = parse_iso(str(text))
        return abs((when - _EPOCH) / timedelta(milliseconds=1) - ms) < 1.0
    except (ValueError, TypeError):
        # No time, or one without an offset.
        return False


def _new_body(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "source_id": run.source_id,
        "started_at": _iso(run.started_ms),
        "tags": dict(run.tags),
        "metadata": dict(run.metadata),
        "pass_criteria": [criterion.to_wire() for criterion in run.pass_criteria],
    }


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
