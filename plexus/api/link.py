"""The blocking link to a data API: sends calls, tries again, downloads. Owns an httpx client for each host."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import attrs
import httpx

from plexus.api import retry, wire
from plexus.api.calls import Call, T
from plexus.api.place import Place
from plexus.api.refusals import Answer
from plexus.api.requests import Request

R = TypeVar("R")


@attrs.frozen
class Download:
    """An answer whose body comes piece by piece. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    _pieces: Callable[[int], Iterator[bytes]] = attrs.field(repr=False)

    def chunks(self, size_bytes: int = 65_536) -> Iterator[bytes]:
        """The body in pieces of this size, the last one shorter. TransportError when it breaks off before its end."""
        return self._pieces(size_bytes)


class Link:
    """One data API. Safe to share between threads.

    `sleep` waits between tries; `transport` takes the place of the network.
    """

    def __init__(
        self,
        place: Place,
        budget: retry.Budget,
        *,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._place = place
        self._budget = budget
        self._sleep = sleep
        self._transport = transport
        self._lock = threading.Lock()
        self._clients = {place.api_url: self._made(app=False)}
        self._closed = False

    @property
    def base_url(self) -> str:
        """The data API's address."""
        return self._place.api_url

    @property
    def host(self) -> str:
        """The data API's host and port."""
        return self._place.host(app=False)

    @property
    def timeout(self) -> float:
        """Seconds for connecting, and for each wait for an answer."""
        return self._place.timeout

    def ask(self, call: Call[T]) -> T:
        """Send a call and read its answer; raises the error tree."""
        return wire.read(call, self._retried(self._once, call.request), self._place)

    @contextlib.contextmanager
    def download(self, request: Request) -> Iterator[Download]:
        """Begin a request whose body is read piece by piece, within the `with`. Raises as `ask` does."""
        response = self._retried(self._begun, request)
        try:
            yield Download(response.status_code, wire.lowered(response.headers), self._pieces(response, request))
        finally:
            response.close()

    def stream_target(self, request: Request) -> tuple[str, str]:
        """The address of a live stream (ws or wss), and the first message, which carries the key."""
        return self._place.stream_target(request)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            self._closed = True
            clients = list(self._clients.values())
        for client in clients:
            client.close()

    def _made(self, *, app: bool) -> httpx.Client:
        with wire.usable_proxies():
            return httpx.Client(transport=self._transport, **wire.client_arguments(self._place, app=app))

    def _client_for(self, request: Request) -> httpx.Client:
        base = self._place.base(app=request.app)
        with self._lock:
            if base not in self._clients:
                if self._closed:
                    raise RuntimeError("closed")
                self._clients[base] = self._made(app=request.app)
            return self._clients[base]

    # --- one try --------------------------------------------------------------------------------------------

    def _retried(self, once: Callable[[Request], R], request: Request) -> R:
        try:
            return retry.policy(self._budget, self._sleep)(once, request) if request.idempotent else once(request)
        except retry.Again as again:
            raise again.error from again.error.__cause__

    def _once(self, request: Request) -> Answer:
        try:
            response = self._client_for(request).request(**wire.request_arguments(self._place, request))
        except wire.FAILURES as exc:
            raise wire.failure(exc, self._place, request) from exc
        return wire.judged(wire.answer_of(response, self._place), self._place, request)

    def _begun(self, request: Request) -> httpx.Response:
        try:
            client = self._client_for(request)
            response = client.send(client.build_request(**wire.request_arguments(self._place, request)), stream=True)
            if not response.is_success:
                response.read()
        except wire.FAILURES as exc:
            raise wire.failure(exc, self._place, request) from exc
        if not response.is_success:
            wire.judged(wire.answer_of(response, self._place), self._place, request)
        return response

    def _pieces(self, response: httpx.Response, request: Request) -> Callable[[int], Iterator[bytes]]:
        def chunks(size_bytes: int) -> Iterator[bytes]:
            try:
                yield from response.iter_bytes(size_bytes)
            except wire.FAILURES as exc:
                raise wire.translated(exc, self._place, request) from exc

        return chunks
