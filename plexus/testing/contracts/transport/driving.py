"""Both ends of a link as the suite of transports drives them: messages of either dialect, and calls that may hang."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from plexus.domain.errors import TransportError
from plexus.ports.transport import Transport
from plexus.protocol.messages import HttpAnswer, HttpRequest, Message

PATIENCE_S = 10.0
UNREAD, LARGE_WORDS = 24, 128 * 1024
"""Messages of half a megabyte, more together than the buffers between two ends hold."""

SECRET = "plx_contract_0123456789abcdef0123456789abcdef"  # noqa: S105 - a canary, to be found in no error

T = TypeVar("T")


class FarEnd(Protocol):
    """The gateway's end of the link, as the suite drives it. It outlives one link, and speaks on the newest."""

    def receive(self, timeout: float = PATIENCE_S) -> Message | None:
        """The device's next message, None if none comes within `timeout` seconds."""
        ...

    def send(self, message: Message) -> None:
        """A message to the device; for requests, the answer to the oldest one that is not answered."""
        ...

    def break_(self) -> None:
        """Cut the link without a word; for requests, after one was received and instead of its answer."""
        ...


class ClosingEnd(FarEnd, Protocol):
    """A far end that can say goodbye."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the link on purpose."""
        ...


# --- messages of both dialects ------------------------------------------------------------------------------


def up(transport: Transport, number: int) -> Message:
    """A small message to the gateway, the key in it."""
    if transport.dialect == "socket":
        return f'{{"number":{number},"api_key":"{SECRET}"}}'
    return HttpRequest("POST", f"/ingest?number={number}", {"x-api-key": SECRET, "x-number": str(number)}, b"[]")


def down(transport: Transport, number: int) -> Message:
    """A small message to the device."""
    if transport.dialect == "socket":
        return f'{{"answer":{number}}}'
    return HttpAnswer(200, {"x-number": str(number)}, f'{{"answer":{number}}}'.encode())


def large(transport: Transport, number: int) -> Message:
    """A message to the gateway that no buffer on the way takes whole."""
    body = number.to_bytes(4, "big") * LARGE_WORDS
    return body if transport.dialect == "socket" else HttpRequest("POST", "/ingest", {"x-number": str(number)}, body)


def send_all(transport: Transport, messages: Sequence[Message]) -> None:
    """Send these in their order."""
    for message in messages:
        transport.send(message)


def all_received(peer: FarEnd, sent: Sequence[Message], answer: Callable[[int], Message]) -> bool:
    """Whether all of these arrive; each is answered, since the next request waits for that."""
    for number, message in enumerate(sent):
        if not same(message, peer.receive(PATIENCE_S)):
            return False
        peer.send(answer(number))
    return True


def drain(transport: Transport) -> None:
    """Give what waits the chance to go out, for a while."""
    end = time.monotonic() + PATIENCE_S
    while transport.pending and time.monotonic() < end:
        within(lambda: transport.receive(0.01))


def ups(transport: Transport) -> list[Message]:
    """Messages to the gateway that a careless transport would change: empty, not ASCII, binary, long."""
    bodies = [b"", b"\x00\xff\x80", bytes(range(256)) * 1_024]
    if transport.dialect == "socket":
        return ["", "wärmer ☃ \U0001f600", "x" * 70_000, *bodies]
    return [HttpRequest("POST", "/ingest", {"content-encoding": "gzip"}, body) for body in bodies]


def downs(transport: Transport) -> list[Message]:
    """The same to the device; answers with the statuses that HTTP libraries like to act on."""
    if transport.dialect == "socket":
        return ups(transport)
    bodies = (b"", b"\x00\xff\x80", bytes(range(256)) * 1_024)
    return [HttpAnswer(status, {"retry-after": "3"}, body) for status in (200, 302, 401, 503) for body in bodies]


def same(sent: Message, arrived: Message | None) -> bool:
    """Equal, apart from headers that HTTP itself needs."""
    if isinstance(sent, HttpRequest) and isinstance(arrived, HttpRequest):
        return (sent.method, sent.path, sent.body) == (arrived.method, arrived.path, arrived.body) and (
            sent.headers.items() <= arrived.headers.items()
        )
    if isinstance(sent, HttpAnswer) and isinstance(arrived, HttpAnswer):
        return (sent.status, sent.body) == (arrived.status, arrived.body) and (
            sent.headers.items() <= arrived.headers.items()
        )
    return type(sent) is type(arrived) and sent == arrived


def answered(transport: Transport, peer: FarEnd, up: Message, down: Message) -> bool:
    """Whether a message goes up and another comes down."""
    transport.send(up)
    if not same(up, peer.receive(PATIENCE_S)):
        return False
    peer.send(down)
    return same(down, next_message(transport))


def cut(transport: Transport, peer: FarEnd) -> None:
    """Break the link while a message is under way."""
    transport.send(up(transport, 0))
    assert peer.receive(PATIENCE_S) is not None
    peer.break_()


def closing_end(peer: FarEnd) -> ClosingEnd:
    """A far end of `ClosingTransportContract`."""
    return peer  # type: ignore[return-value]  # `peer` of ClosingTransportContract promises it


def send_until_refused(transport: Transport) -> None:
    """Send on until that raises."""
    # Slowly: a far end that nobody reads from must not be buried before its goodbye is through.
    pause = threading.Event()
    for number in range(1_000_000):
        transport.send(up(transport, number))
        pause.wait(0.001)


# --- waiting ------------------------------------------------------------------------------------------------


class Background:
    """A call on a thread of its own, so that one which never returns fails a test and does not hang it."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.started = threading.Event()
        self._outcome: queue.Queue[tuple[object, BaseException | None]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(call,), name="contract", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait for the call to return, whatever came of it."""
        self._thread.join(2 * PATIENCE_S)

    def result(self) -> object:
        """What the call returned; raises what it raised, and AssertionError when it does not return."""
        try:
            value, failure = self._outcome.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"the call did not return within {PATIENCE_S:g} s") from None
        if failure is not None:
            raise failure
        return value

    def _run(self, call: Callable[[], object]) -> None:
        self.started.set()
        try:
            self._outcome.put((call(), None))
        except BaseException as exc:  # noqa: BLE001 - handed to the thread that asked
            self._outcome.put((None, exc))


def within(call: Callable[[], T]) -> T:
    """What `call` returns; AssertionError when that takes longer than the suite's patience."""
    return Background(call).result()  # type: ignore[return-value]  # what `call` returned


def next_message(transport: Transport) -> Message:
    """The next message; a None because of an earlier `wake` is passed over."""
    for _ in range(3):
        message = within(lambda: transport.receive(PATIENCE_S))
        if message is not None:
            return message
    raise AssertionError("no message came")


def raised_by(call: Callable[[], object]) -> BaseException | None:
    """What `call` raises; AssertionError when it does not return."""
    try:
        within(call)
    except AssertionError:
        raise
    except Exception as exc:  # noqa: BLE001 - what it is, is the test
        return exc
    return None


def is_fault(exc: BaseException | None) -> bool:
    """Whether this is how a transport says that its link is broken."""
    return isinstance(exc, TransportError)
