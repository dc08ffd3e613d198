"""What every transport must do, seen from both ends of the link."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from plexus.domain.errors import TransportClosed, TransportError
from plexus.ports.transport import Transport
from plexus.protocol.messages import HttpAnswer, HttpRequest, Message
from plexus.testing.contracts import Contract

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


class TransportContract(Contract):
    """Override `make` to return a fresh transport that is not open, and `peer` to return its far end."""

    def make(self) -> Transport:
        """A fresh transport."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its transport")

    def peer(self, transport: Transport) -> FarEnd:
        """The far end of a transport that `make` gave."""
        raise NotImplementedError(f"{type(self).__name__} must say where its transport's far end is")

    @contextmanager
    def link(self) -> Iterator[tuple[Transport, FarEnd]]:
        """An open link and its far end, disposed of after the test."""
        transport = self.make()
        try:
            transport.open(PATIENCE_S)
            yield transport, self.peer(transport)
        finally:
            self.dispose(transport)

    # --- messages -------------------------------------------------------------------------------------------

    def test_the_dialect_is_socket_or_request(self) -> None:
        with self.link() as (transport, _peer):
            assert transport.dialect in ("socket", "request")

    def test_a_message_reaches_the_gateway_unchanged(self) -> None:
        with self.link() as (transport, peer):
            for sent in _ups(transport):
                assert _answered(transport, peer, sent, _down(transport, 0))

    def test_a_message_reaches_the_device_unchanged(self) -> None:
        with self.link() as (transport, peer):
            for sent in _downs(transport):
                transport.send(_up(transport, 0))
                assert peer.receive(PATIENCE_S) is not None
                peer.send(sent)
                assert _same(sent, _within(lambda: transport.receive(PATIENCE_S)))

    def test_messages_come_in_the_order_in_which_they_were_sent(self) -> None:
        with self.link() as (transport, peer):
            for number in range(5):
                transport.send(_up(transport, number))
            for number in range(5):
                assert _same(_up(transport, number), peer.receive(PATIENCE_S))
                peer.send(_down(transport, number))
            for number in range(5):
                assert _same(_down(transport, number), _within(lambda: transport.receive(PATIENCE_S)))

    def test_a_message_of_the_wrong_dialect_is_a_type_error(self) -> None:
        with self.link() as (transport, _peer):
            wrong: Message = "text" if transport.dialect == "request" else HttpRequest("POST", "/ingest", {})
            assert isinstance(_raised(lambda: transport.send(wrong)), TypeError)

    # --- waiting --------------------------------------------------------------------------------------------

    def test_send_does_not_wait_for_an_answer(self) -> None:
        with self.link() as (transport, peer):
            _within(lambda: transport.send(_up(transport, 0)))
            _within(lambda: transport.send(_up(transport, 1)))
            assert _same(_up(transport, 0), peer.receive(PATIENCE_S))

    def test_send_does_not_wait_for_the_network_and_what_waits_arrives_whole_and_in_order(self) -> None:
        with self.link() as (transport, peer):
            sent = [_large(transport, number) for number in range(UNREAD)]
            _within(lambda: _send_all(transport, sent))
            reader = _Background(lambda: _all_received(peer, sent, lambda number: _down(transport, number)))
            _drain(transport)
            assert reader.result() is True

    def test_nothing_is_pending_before_the_first_message_and_after_all_were_taken(self) -> None:
        with self.link() as (transport, peer):
            assert transport.pending == 0
            sent = [_large(transport, number) for number in range(UNREAD)]
            _send_all(transport, sent)
            reader = _Background(lambda: _all_received(peer, sent, lambda number: _down(transport, number)))
            _drain(transport)
            left = transport.pending
            # Whether they came as they were sent is another test's question; nobody may be left waiting, though.
            reader.end()
            assert left == 0

    def test_nothing_is_pending_without_a_link(self) -> None:
        with self.link() as (transport, _peer):
            for number in range(UNREAD):
                transport.send(_large(transport, number))
            transport.close()
            assert transport.pending == 0

    def test_receive_gives_none_when_nothing_comes(self) -> None:
        with self.link() as (transport, _peer):
            assert _within(lambda: transport.receive(0.0)) is None
            assert _within(lambda: transport.receive(0.02)) is None

    def test_wake_ends_a_receive_that_waits(self) -> None:
        with self.link() as (transport, _peer):
            waiting = _Background(lambda: transport.receive(10 * PATIENCE_S))
            # A wake that comes before `receive` waits counts as well, so nothing hangs on which is first.
            waiting.started.wait(PATIENCE_S)
            transport.wake()
            assert waiting.result() is None

    def test_a_wake_before_receive_is_remembered(self) -> None:
        with self.link() as (transport, _peer):
            transport.wake()
            assert _within(lambda: transport.receive(10 * PATIENCE_S)) is None

    def test_many_wakes_make_one_receive_return(self) -> None:
        with self.link() as (transport, peer):
            for _ in range(100):
                transport.wake()
            assert _within(lambda: transport.receive(10 * PATIENCE_S)) is None
            assert _answered(transport, peer, _up(transport, 0), _down(transport, 0))

    def test_a_wake_costs_no_message(self) -> None:
        with self.link() as (transport, peer):
            transport.send(_up(transport, 0))
            assert peer.receive(PATIENCE_S) is not None
            transport.wake()
            peer.send(_down(transport, 0))
            assert _same(_down(transport, 0), _next(transport))

    def test_wake_without_a_link_does_nothing(self) -> None:
        with self.link() as (transport, _peer):
            transport.close()
            transport.wake()

    # --- the end --------------------------------------------------------------------------------------------

    def test_a_broken_link_is_a_transport_error_again_and_again(self) -> None:
        with self.link() as (transport, peer):
            _break(transport, peer)
            assert _is_fault(_raised(lambda: _next(transport)))
            assert _is_fault(_raised(lambda: transport.receive(0.0)))
            assert _is_fault(_raised(lambda: transport.send(_up(transport, 1))))

    def test_what_came_before_the_end_is_received_before_the_error(self) -> None:
        with self.link() as (transport, peer):
            transport.send(_up(transport, 0))
            assert peer.receive(PATIENCE_S) is not None
            peer.send(_down(transport, 0))
            _break(transport, peer)
            assert _same(_down(transport, 0), _next(transport))
            assert _is_fault(_raised(lambda: _next(transport)))

    def test_the_error_of_a_broken_link_says_something_and_nothing_of_a_message(self) -> None:
        with self.link() as (transport, peer):
            _break(transport, peer)
            text = str(_raised(lambda: _next(transport)))
            assert len(text) > 10
            assert SECRET not in text

    def test_a_link_that_broke_opens_again_and_is_a_new_one(self) -> None:
        with self.link() as (transport, peer):
            transport.send(_up(transport, 0))
            assert peer.receive(PATIENCE_S) is not None
            peer.send(_down(transport, 0))
            _break(transport, peer)
            transport.wake()
            transport.open(PATIENCE_S)
            assert _answered(transport, self.peer(transport), _up(transport, 7), _down(transport, 7))

    def test_a_link_that_was_closed_opens_again(self) -> None:
        with self.link() as (transport, _peer):
            transport.close()
            transport.open(PATIENCE_S)
            assert _answered(transport, self.peer(transport), _up(transport, 7), _down(transport, 7))

    def test_closing_twice_is_fine(self) -> None:
        with self.link() as (transport, _peer):
            transport.close()
            transport.close()

    def test_closing_what_was_never_open_is_fine(self) -> None:
        transport = self.make()
        try:
            transport.close()
        finally:
            self.dispose(transport)

    def test_without_a_link_send_and_receive_are_transport_errors(self) -> None:
        with self.link() as (transport, _peer):
            transport.close()
            assert _is_fault(_raised(lambda: transport.send(_up(transport, 0))))
            assert _is_fault(_raised(lambda: transport.receive(0.0)))


class ClosingTransportContract(TransportContract):
    """For transports whose gateway can close the link on purpose, with a code."""

    def peer(self, transport: Transport) -> ClosingEnd:
        """The far end of a transport that `make` gave."""
        raise NotImplementedError(f"{type(self).__name__} must say where its transport's far end is")

    def test_a_close_on_purpose_says_its_code_to_receive(self) -> None:
        for code in (1000, 1001, 1013, 4401):
            with self.link() as (transport, peer):
                assert _answered(transport, peer, _up(transport, 0), _down(transport, 0))
                closing = _Background(lambda peer=peer, code=code: _closing(peer).close(code))  # type: ignore[misc]
                failure = _raised(lambda transport=transport: _next(transport))  # type: ignore[misc]
                closing.result()
                assert isinstance(failure, TransportClosed)
                assert failure.code == code

    def test_a_close_on_purpose_is_told_to_send_after_what_came_before_it(self) -> None:
        with self.link() as (transport, peer):
            assert _answered(transport, peer, _up(transport, 0), _down(transport, 0))
            peer.send(_down(transport, 1))
            closing = _Background(lambda: _closing(peer).close(1001))
            failure = _raised(lambda: _send_until_refused(transport))
            closing.result()
            assert isinstance(failure, TransportClosed)
            assert failure.code == 1001
            assert _same(_down(transport, 1), _next(transport))
            assert isinstance(_raised(lambda: _next(transport)), TransportClosed)


# --- messages of both dialects ------------------------------------------------------------------------------


def _up(transport: Transport, number: int) -> Message:
    if transport.dialect == "socket":
        return f'{{"number":{number},"api_key":"{SECRET}"}}'
    return HttpRequest("POST", f"/ingest?number={number}", {"x-api-key": SECRET, "x-number": str(number)}, b"[]")


def _down(transport: Transport, number: int) -> Message:
    if transport.dialect == "socket":
        return f'{{"answer":{number}}}'
    return HttpAnswer(200, {"x-number": str(number)}, f'{{"answer":{number}}}'.encode())


def _large(transport: Transport, number: int) -> Message:
    body = number.to_bytes(4, "big") * LARGE_WORDS
    return body if transport.dialect == "socket" else HttpRequest("POST", "/ingest", {"x-number": str(number)}, body)


def _send_all(transport: Transport, messages: Sequence[Message]) -> None:
    for message in messages:
        transport.send(message)


def _all_received(peer: FarEnd, sent: Sequence[Message], answer: Callable[[int], Message]) -> bool:
    """Whether all of these arrive; each is answered, since the next request waits for that."""
    for number, message in enumerate(sent):
        if not _same(message, peer.receive(PATIENCE_S)):
            return False
        peer.send(answer(number))
    return True


def _drain(transport: Transport) -> None:
    """Give what waits the chance to go out, for a while."""
    end = time.monotonic() + PATIENCE_S
    while transport.pending and time.monotonic() < end:
        _within(lambda: transport.receive(0.01))


def _ups(transport: Transport) -> list[Message]:
    bodies = [b"", b"\x00\xff\x80", bytes(range(256)) * 1_024]
    if transport.dialect == "socket":
        return ["", "wärmer ☃ \U0001f600", "x" * 70_000, *bodies]
    return [HttpRequest("POST", "/ingest", {"content-encoding": "gzip"}, body) for body in bodies]


def _downs(transport: Transport) -> list[Message]:
    if transport.dialect == "socket":
        return _ups(transport)
    bodies = (b"", b"\x00\xff\x80", bytes(range(256)) * 1_024)
    return [HttpAnswer(status, {"retry-after": "3"}, body) for status in (200, 302, 401, 503) for body in bodies]


def _same(sent: Message, arrived: Message | None) -> bool:
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


def _answered(transport: Transport, peer: FarEnd, up: Message, down: Message) -> bool:
    """Whether a message goes up and another comes down."""
    transport.send(up)
    if not _same(up, peer.receive(PATIENCE_S)):
        return False
    peer.send(down)
    return _same(down, _next(transport))


def _break(transport: Transport, peer: FarEnd) -> None:
    transport.send(_up(transport, 0))
    assert peer.receive(PATIENCE_S) is not None
    peer.break_()


def _closing(peer: FarEnd) -> ClosingEnd:
    return peer  # type: ignore[return-value]  # `peer` of ClosingTransportContract promises it


def _send_until_refused(transport: Transport) -> None:
    # Slowly: a far end that nobody reads from must not be buried before its goodbye is through.
    pause = threading.Event()
    for number in range(1_000_000):
        transport.send(_up(transport, number))
        pause.wait(0.001)


# --- waiting ------------------------------------------------------------------------------------------------


class _Background:
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


def _within(call: Callable[[], T]) -> T:
    return _Background(call).result()  # type: ignore[return-value]  # what `call` returned


def _next(transport: Transport) -> Message:
    """The next message; a None because of an earlier `wake` is passed over."""
    for _ in range(3):
        message = _within(lambda: transport.receive(PATIENCE_S))
        if message is not None:
            return message
    raise AssertionError("no message came")


def _raised(call: Callable[[], object]) -> BaseException | None:
    try:
        _within(call)
    except AssertionError:
        raise
    except Exception as exc:  # noqa: BLE001 - what it is, is the test
        return exc
    return None


def _is_fault(exc: BaseException | None) -> bool:
    return isinstance(exc, TransportError)
