"""A gateway in this process, its store made to fail or to wait, and clients for its sockets and its bare ASGI."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.gateway import Gateway
from plexus.gateway.asgi import ASGIApp, Message, Scope
from plexus.gateway.assembly import Ports, build_core
from plexus.gateway.core import Core
from plexus.ports.store import Receipt, Submission
from tests.support import plain
from tests.support.waiting import eventually

KEY = "plx_a-bootstrap-key-for-tests-only-0123456789"
PATIENCE_S = 10.0


class MoodyStore(MemoryStore):
    """A store that fails while `failure` is set, and waits while `open` is not; it counts its groups."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.groups: list[list[Submission]] = []
        self.threads: set[str] = set()

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        self.groups.append(list(group))
        self.threads.add(threading.current_thread().name)
        self.entered.release()
        assert self.open.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
        return super().commit(group)

    def full(self) -> None:
        """As a disk without room."""
        self.failure = StoreError("journal.db: database or disk is full; make room")

    def points(self) -> int:
        """Points of all groups that were to be committed."""
        return sum(len(submission.columns) for group in self.groups for submission in group)


@contextmanager
def running(**arguments: Any) -> Iterator[Gateway]:
    """A gateway that lets KEY in; in memory unless told otherwise."""
    with Gateway(**{"bootstrap_key": KEY, **arguments}) as gateway:
        yield gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway in memory."""
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Gateway]:
    """One gateway in memory for the tests of a module that leave no trace in it."""
    with running() as made:
        yield made


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway over the embedded store in `tmp_path`."""
    with running(data_dir=tmp_path / "data") as made:
        yield made


def http(gateway: Gateway, key: str | None = KEY) -> httpx.Client:
    """A client with a key on every request; to be used as a context manager."""
    headers = {} if key is None else {"x-api-key": key}
    return plain.client(base_url=gateway.url, headers=headers, timeout=PATIENCE_S)


def make_key(gateway: Gateway, *scopes: str, org: str = "default", source_id: str | None = None) -> str:
    """Another key of the gateway."""
    text, _ = gateway.core.keyring.create(org, "another", scopes, source_id=source_id)
    return text


class Wire:
    """A WebSocket client that speaks JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.authenticated: dict[str, Any] = {}

    def say(self, **frame: Any) -> None:
        """Send one frame."""
        self.connection.send(json.dumps(frame))

    def hear(self, timeout: float = PATIENCE_S) -> dict[str, Any]:
        """The next frame."""
        heard: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout))
        return heard

    def telemetry(self, *points: dict[str, Any], **fields: Any) -> None:
        """Send points."""
        self.say(type="telemetry", points=list(points), **fields)

    def closed(self, timeout: float = PATIENCE_S) -> tuple[int, str]:
        """Wait for the close; its code and reason."""
        try:
            while True:
                self.connection.recv(timeout=timeout)
        except TimeoutError:
            raise AssertionError(f"the socket is still open after {timeout:g} s") from None
        except Exception:  # noqa: BLE001 - however it ended, the close frame says what matters
            frame = self.connection.protocol.close_rcvd
            assert frame is not None, "the socket ended without a close frame"
            return frame.code, frame.reason


@contextmanager
def socket(gateway: Gateway, path: str, **arguments: Any) -> Iterator[Wire]:
    """An open WebSocket at `path`."""
    with connect(gateway.ws_url + path, compression=None, proxy=None, max_size=None, **arguments) as connection:
        yield Wire(connection)


@contextmanager
def device(gateway: Gateway, source_id: str = "drone-01", key: str = KEY, **fields: Any) -> Iterator[Wire]:
    """A device that is let in; its first answer is checked and kept as `authenticated`."""
    with socket(gateway, "/ws/device") as wire:
        wire.say(type="device_auth", api_key=key, source_id=source_id, **fields)
        answer = wire.hear()
        assert answer["type"] == "authenticated", answer
        wire.authenticated = answer
        yield wire


@contextmanager
def reader(gateway: Gateway, path: str, key: str = KEY, **arguments: Any) -> Iterator[Wire]:
    """A reader of a live stream that hears from now on."""
    before = len(gateway.core.sockets)
    with socket(gateway, path, **arguments) as wire:
        wire.say(type="auth", api_key=key)
        # The stream says nothing when it begins, so its place among the sockets does.
        eventually(lambda: len(gateway.core.sockets) > before, what="the reader's authentication")
        yield wire


# --- bare ASGI ------------------------------------------------------------------------------------------------


def core_of(store: MemoryStore | None = None, **fields: Any) -> Core:
    """A Core in memory on the event loop's clocks; its committer is to be started and stopped by the test."""
    ports = Ports(MemoryStore() if store is None else store, MemoryBus(), MemoryKeyring(), MemoryRegistry())
    made = build_core(ports, wall_ns=lambda: 1_746_969_660_000_000_000, monotonic=asyncio.get_running_loop().time)
    made.keyring.create("default", "tests", ["read", "write", "commands", "admin"], secret=KEY)
    return attrs.evolve(made, **fields)


@attrs.define
class Answered:
    """What an application answered to one request, and how much of the body it asked for."""

    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    chunks_read: int = 0

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    chunks: Sequence[bytes] = (b"",),
    headers: dict[str, str] | None = None,
    key: str | None = KEY,
) -> Answered:
    """One HTTP request, without a socket; the body comes in `chunks` and without a content-length."""
    sent = {**({} if key is None else {"x-api-key": key}), **(headers or {})}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "state": {},
    }
    answered = Answered()

    async def receive() -> Message:
        at = answered.chunks_read
        answered.chunks_read += 1
        if at >= len(chunks):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunks[at], "more_body": at + 1 < len(chunks)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answered.body += message.get("body", b"")

    await app(scope, receive, send)
    return answered
