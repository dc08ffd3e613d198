"""`PlexusAPI`, the blocking reader: the shell around the pure request building and answer parsing. Owns httpx.

from plexus import PlexusAPI
with PlexusAPI() as api:
    print(api.metrics.latest("drone-01"))
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from plexus._version import __version__
from plexus.adapters.transport.addresses import is_loopback
from plexus.adapters.transport.faults import explain
from plexus.adapters.transport.tls import trust
from plexus.api import answers, refusals, requests, retry
from plexus.api.answers import Identity
from plexus.api.livesocket import LiveSocket
from plexus.api.refusals import Answer
from plexus.api.requests import MetricNames, Request
from plexus.api.streams import Stream, pick_events, pick_points
from plexus.api.times import Instant, Length, window
from plexus.config import load_settings, require_key
from plexus.domain.errors import ConfigurationError, ProtocolError, TransportError
from plexus.domain.event import Event
from plexus.domain.live import LivePoint, StreamNotice
from plexus.domain.series import FleetMetrics, QueryResult
from plexus.domain.source import Delivery, FleetHealth, Source
from plexus.domain.values import Value
from plexus.protocol import live

T = TypeVar("T")

DEFAULT_RETRIES = 3
OnNotice = Callable[[StreamNotice], None]


class PlexusAPI:
    """Reads what devices sent, and sends them commands. Safe to share between threads; close it when done.

    Args:
        api_key: `plx_…`; else PLEXUS_API_KEY, else the config file that `plexus init` writes.
        base_url: the data API's address; else PLEXUS_API_URL or PLEXUS_URL, else the hosted service.
        timeout: seconds for connecting, and for each wait for an answer.
        retries: how often a request that changes nothing is tried again after 429, 502, 503, 504 or a network failure.
        sleep: waits between tries; for tests.
        transport: an httpx transport in place of the network; for tests and for gateways in the same process.

    Raises ConfigurationError when there is no key, or the address is none.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
        *,
        retries: int = DEFAULT_RETRIES,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        settings = load_settings(api_key=api_key, api_url=base_url)
        key = require_key(settings)
        self._link = _Link(settings.api_url, key, timeout, retries, sleep, transport)
        self._app = partial(_Link, settings.app_url, key, timeout, retries, sleep, transport)
        self.sources = Sources(self._link)
        self.metrics = Metrics(self._link)
        self.events = Events(self._link)
        self.fleet = Fleet(self._link)
        self.commands = Commands(self._link)

    @property
    def base_url(self) -> str:
        """The data API's address."""
        return self._link.base_url

    def whoami(self) -> Identity:
        """Whose key this is and what it may do; the app is asked (PLEXUS_ENDPOINT or PLEXUS_URL)."""
        with contextlib.closing(self._app()) as app:
            return app.ask(requests.verify_key(), answers.identity)

    def __repr__(self) -> str:
        return f"PlexusAPI(base_url={self.base_url!r})"

    def __enter__(self) -> PlexusAPI:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections. Streams that are open stay so; close them themselves."""
        self._link.close()


class Sources:
    """What sends: `api.sources`."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def list(self, status: str | None = None) -> list[Source]:
        """All sources, or with `status` those that are "online" or "offline"."""
        return self._link.ask(requests.sources(status), answers.sources)

    def get(self, source_id: str) -> Source:
        """One source; NotFoundError if it never sent."""
        return self._link.ask(requests.source(source_id), answers.source)

    def delivery(self, source_id: str) -> Delivery:
        """What of this source was lost on the way, by reason, and what came twice and was stored once."""
        return self._link.ask(requests.delivery(source_id), answers.delivery)


class Metrics:
    """What is measured: `api.metrics`."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def names(self, source_id: str) -> list[str]:
        """Names of the source's metrics."""
        return self._link.ask(requests.metric_names(source_id), answers.metric_names)

    def latest(self, source_id: str) -> dict[str, Value]:
        """The newest value of each metric, by name."""
        return self._link.ask(requests.latest(source_id), answers.latest)

    def query(
        self,
        source_id: str,
        metrics: MetricNames = None,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        interval: str | None = None,
    ) -> QueryResult:
        """Values over a window (the last hour if none is given), of one metric, several, or all.

        `last` is a timedelta or "90s", "15m", "1h", "7d"; `start` and `end` are aware datetimes, ISO text with an
        offset, or epoch seconds or milliseconds. `interval` is "raw", "1m", "10m", "1h" or "1d"; without it the server
        answers windows under ten minutes raw and longer ones in buckets. `truncated` in the answer says that a raw
        window held more than 10,000 rows.
        """
        stretch = window(last=last, start=start, end=end, now_ms=_now_ms())
        return self._link.ask(requests.query(source_id, metrics, stretch, interval), answers.query)

    def stream(
        self, source_id: str, metrics: MetricNames = None, *, on_notice: OnNotice | None = None
    ) -> Stream[LivePoint]:
        """Points as they are stored, of one metric, several, or all: a context manager that iterates."""
        return self._link.stream(requests.metric_stream(source_id, metrics), pick_points, on_notice)


class Events:
    """What happened: `api.events`."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def list(
        self,
        source_id: str,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        name: str | None = None,
        limit: int | None = None,
        tail: int | None = None,
    ) -> list[Event]:
        """Events of a window (see `metrics.query`) in the order of time: the first `limit`, or the last `tail`."""
        stretch = window(last=last, start=start, end=end, now_ms=_now_ms())
        request = requests.events(source_id, stretch, name, limit, tail)
        return self._link.ask(request, lambda body: answers.events(body, source_id))

    def stream(self, source_id: str, *, on_notice: OnNotice | None = None) -> Stream[Event]:
        """Events as they are stored: a context manager that iterates."""
        return self._link.stream(requests.event_stream(source_id), pick_events, on_notice)


class Fleet:
    """All sources together: `api.fleet`."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def health(self) -> FleetHealth:
        """How many sources there are, and how many are online."""
        return self._link.ask(requests.fleet_health(), answers.fleet_health)

    def metrics(
        self,
        metric: str,
        *,
        last: Length | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        interval: str | None = None,
    ) -> FleetMetrics:
        """One metric over every source, in buckets of "1m", "10m", "1h" or "1d", never raw."""
        stretch = window(last=last, start=start, end=end, now_ms=_now_ms())
        return self._link.ask(requests.fleet_metrics(metric, stretch, interval), answers.fleet_metrics)


class Commands:
    """What devices are told to do: `api.commands`."""

    def __init__(self, link: _Link) -> None:
        self._link = link

    def send(self, source_id: str, command: str, params: Mapping[str, Any] | None = None) -> bool:
        """Send a command; True when it is on its way, False when the device is offline. Never tried twice."""
        return self._link.ask(requests.command(source_id, command, params), answers.queued)


class _Link:
    """One data API: its address, the key, and the connections to it."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        timeout: float,
        retries: int,
        sleep: Callable[[float], None],
        transport: httpx.BaseTransport | None,
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"timeout must be more than 0 seconds, not {timeout!r}")
        if retries < 0:
            raise ConfigurationError(f"retries must be 0 or more, not {retries!r}")
        self.base_url = base_url.rstrip("/")
        self._host = _host_of(self.base_url)
        self._api_key = api_key
        self._timeout = timeout
        self._policy = retry.policy(retries, sleep)
        self._client = httpx.Client(
            headers={"x-api-key": api_key, "accept": "application/json", "user-agent": f"plexus-python/{__version__}"},
            timeout=timeout,
            verify=trust(),
            follow_redirects=False,
            transport=transport,
            # This machine is never reached through a proxy: at the proxy, "localhost" is another machine.
            trust_env=not is_loopback(urlsplit(self.base_url).hostname or ""),
        )

    def ask(self, request: Request, read: Callable[[bytes], T]) -> T:
        """Send one request and read its answer; raises the error tree."""
        try:
            answer = self._policy(self._once, request) if request.idempotent else self._once(request)
        except retry.Again as again:
            raise again.error from again.error.__cause__
        try:
            return read(answer.body)
        except ProtocolError as exc:
            raise refusals.unreadable(request, answer, self._host, str(exc)) from exc

    def stream(
        self, request: Request, pick: Callable[[live.LiveFrame], Any], on_notice: OnNotice | None
    ) -> Stream[Any]:
        """A live stream, not opened yet."""
        # http becomes ws, https becomes wss.
        url = f"ws{self.base_url[4:]}{request.target}"
        return Stream(
            lambda: LiveSocket(url, self._timeout), live.auth_message(self._api_key), pick, on_notice=on_notice
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _once(self, request: Request) -> Answer:
        try:
            answer = self._send(request)
        except TransportError as exc:
            raise retry.Again(exc) from exc
        error = refusals.error_for(request, answer, self._host)
        if error is None:
            return answer
        if answer.status in refusals.RETRIED:
            raise retry.Again(error, refusals.retry_after_s(answer, time.time()))
        raise error

    def _send(self, request: Request) -> Answer:
        headers = {} if request.body is None else {"content-type": "application/json"}
        try:
            answer = self._client.request(
                request.method, self.base_url + request.target, content=request.body, headers=headers
            )
        except httpx.TimeoutException as exc:
            raise TransportError(explain(TimeoutError(), self._host, self._timeout)) from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise TransportError(explain(exc, self._host, self._timeout)) from exc
        except RuntimeError as exc:
            # What httpx says once it is closed.
            raise ConfigurationError("this PlexusAPI is closed: make a new one") from exc
        # A server that echoes its request must not put the key into an error or a log.
        body = answer.content.replace(self._api_key.encode(), b"[key]")
        return Answer(answer.status_code, {name.lower(): text for name, text in answer.headers.items()}, body)


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.query:
        raise ConfigurationError(f"the data API's address {url!r} must end before the question mark")
    return parts.netloc


def _now_ms() -> float:
    return time.time() * 1000.0
