"""Every transport keeps the contract, over real servers too, and the contract catches transports that do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plexus.adapters.transport.http import RequestTransport
from plexus.adapters.transport.memory import MemoryPeer, MemoryTransport
from plexus.adapters.transport.websocket import SocketTransport
from plexus.domain.errors import TransportError
from plexus.ports.transport import Transport
from plexus.protocol.messages import Message
from plexus.testing.contracts import Contract, failures
from plexus.testing.contracts.transport import (
    UNREAD,
    ClosingEnd,
    ClosingTransportContract,
    FarEnd,
    TransportContract,
    driving,
)
from tests.support.servers import RequestGateway, SocketGateway


class TestMemorySocket(ClosingTransportContract):
    def make(self) -> Transport:
        return MemoryTransport("socket")

    def peer(self, transport: Transport) -> ClosingEnd:
        assert isinstance(transport, MemoryTransport)
        return transport.peer


class TestMemoryRequests(TransportContract):
    def make(self) -> Transport:
        return MemoryTransport("request")

    def peer(self, transport: Transport) -> FarEnd:
        assert isinstance(transport, MemoryTransport)
        return transport.peer


class TestSocketTransport(ClosingTransportContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with SocketGateway() as self.gateway:
            yield

    def make(self) -> Transport:
        return SocketTransport(self.gateway.url)

    def peer(self, transport: Transport) -> ClosingEnd:
        self.gateway.next_connection()
        return self.gateway


class TestRequestTransport(TransportContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with RequestGateway() as self.gateway:
            yield

    def make(self) -> Transport:
        return RequestTransport(self.gateway.url)

    def peer(self, transport: Transport) -> FarEnd:
        return self.gateway


# --- transports that are broken on purpose ------------------------------------------------------------------


class Planted(MemoryTransport):
    """A transport with a fault of its own."""


class Dropping(Planted):
    """Loses a message when it is busy."""

    sent = 0

    def send(self, message: Message) -> None:
        self.sent += 1
        if self.sent != 3:
            super().send(message)


class Reordering(Planted):
    """Hands out the newest first."""

    def receive(self, timeout: float) -> Message | None:
        pipe: Any = self._pipe
        if pipe is not None:
            pipe.down._messages.reverse()
        return super().receive(timeout)


class Stripping(Planted):
    """Touches what it carries."""

    def send(self, message: Message) -> None:
        super().send(message.strip("w") if isinstance(message, str) else message)


class Texting(Planted):
    """Hands binary messages out as text where it can."""

    def receive(self, timeout: float) -> Message | None:
        message = super().receive(timeout)
        return message.decode() if message == b"" else message


class Deaf(Planted):
    """Does not hear `wake`."""

    def wake(self) -> None:
        pass


class Forgetful(Planted):
    """Hears `wake` only while it waits."""

    waiting = False

    def receive(self, timeout: float) -> Message | None:
        pipe: Any = self._pipe
        if pipe is not None:
            pipe.down._woken = False
        return super().receive(timeout)


class Hasty(Planted):
    """Throws away what had come when the link broke."""

    def receive(self, timeout: float) -> Message | None:
        pipe: Any = self._pipe
        if pipe is not None and pipe.ended:
            pipe.down._messages.clear()
        return super().receive(timeout)


class Once(Planted):
    """Says that the link broke, then pretends that it is merely quiet."""

    told = False

    def receive(self, timeout: float) -> Message | None:
        if self.told:
            return None
        try:
            return super().receive(timeout)
        except TransportError:
            self.told = True
            raise


class Foreign(Planted):
    """Lets the library's own exception out."""

    def receive(self, timeout: float) -> Message | None:
        try:
            return super().receive(timeout)
        except TransportError as exc:
            raise ConnectionResetError(str(exc)) from exc


class Talkative(Planted):
    """Puts the last message into its errors, and so the key."""

    last: Message = ""

    def send(self, message: Message) -> None:
        self.last = message
        super().send(message)

    def receive(self, timeout: float) -> Message | None:
        try:
            return super().receive(timeout)
        except TransportError as exc:
            raise TransportError(f"{exc}; last sent: {self.last!r}") from exc


class OneWay(Planted):
    """Does not open again."""

    opened = False

    def open(self, timeout: float) -> None:
        if not self.opened:
            super().open(timeout)
        self.opened = True


class Haunted(Planted):
    """Hands what came over the old link out over the new one."""

    def open(self, timeout: float) -> None:
        old: Any = self._pipe
        super().open(timeout)
        new: Any = self._pipe
        if old is not None:
            new.down._messages.extend(old.down._messages)


class Patient(Planted):
    """Waits in `send` until something comes back."""

    def send(self, message: Message) -> None:
        super().send(message)
        pipe: Any = self._pipe
        with pipe.down._changed:
            pipe.down._changed.wait_for(lambda: pipe.down._messages or pipe.down.failure)


class Sulking(Planted):
    """Makes a fuss about a second `close`."""

    def open(self, timeout: float) -> None:
        self._pipe = self.peer._connect()

    def close(self) -> None:
        if self._pipe is None:
            raise TransportError("it is closed already")
        super().close()


class Anything(Planted):
    """Takes any message, of its dialect or not."""

    def send(self, message: Message) -> None:
        if isinstance(message, (str, bytes)):
            super().send(message)


class Waiting(Planted):
    """Waits in `send` until the other end has taken the message."""

    def send(self, message: Message) -> None:
        super().send(message)
        pipe: Any = self._pipe
        with pipe.up._changed:
            pipe.up._changed.wait_for(lambda: len(pipe.up._messages) < UNREAD // 2)


class Full(Planted):
    """Throws away what does not fit."""

    def send(self, message: Message) -> None:
        pipe: Any = self._pipe
        if pipe is None or len(pipe.up._messages) < UNREAD // 2:
            super().send(message)


class Stuck(Planted):
    """Never writes on what did not go at once."""

    def open(self, timeout: float) -> None:
        super().open(timeout)
        pipe: Any = self._pipe
        put_up = pipe.put_up

        def put(message: Message) -> None:
            pipe.clogged = len(pipe.up._messages) >= UNREAD // 2
            put_up(message)

        pipe.put_up = put


class Boasting(Planted):
    """Counts what it was given, whatever became of it."""

    given = 0

    def send(self, message: Message) -> None:
        super().send(message)
        self.given += 1

    @property
    def pending(self) -> int:
        return self.given


class Codeless(Planted):
    """Hears a goodbye as a broken link."""

    def receive(self, timeout: float) -> Message | None:
        try:
            return super().receive(timeout)
        except TransportError as exc:
            raise TransportError(str(exc)) from exc


TAKEN = "test_send_does_not_wait_for_the_network_and_what_waits_arrives_whole_and_in_order"
PENDING = "test_nothing_is_pending_before_the_first_message_and_after_all_were_taken"
CLOSES = {
    "test_a_close_on_purpose_says_its_code_to_receive",
    "test_a_close_on_purpose_is_told_to_send_after_what_came_before_it",
}
ERROR = "test_a_broken_link_is_a_transport_error_again_and_again"
BEFORE = "test_what_came_before_the_end_is_received_before_the_error"
ORDER = "test_messages_come_in_the_order_in_which_they_were_sent"
UNLINKED = "test_without_a_link_send_and_receive_are_transport_errors"
REOPENED = "test_a_link_that_broke_opens_again_and_is_a_new_one"
NEXT_TO_CLOSE = "test_a_close_on_purpose_is_told_to_send_after_what_came_before_it"


@pytest.mark.parametrize(
    ("planted", "caught_by"),
    [
        (
            Dropping,
            {
                TAKEN,
                ORDER,
                REOPENED,
                "test_a_message_reaches_the_gateway_unchanged",
                "test_a_message_reaches_the_device_unchanged",
            },
        ),
        (Reordering, {ORDER}),
        (Stripping, {"test_a_message_reaches_the_gateway_unchanged"}),
        (Texting, {"test_a_message_reaches_the_device_unchanged"}),
        (
            Deaf,
            {
                "test_wake_ends_a_receive_that_waits",
                "test_a_wake_before_receive_is_remembered",
                "test_many_wakes_make_one_receive_return",
            },
        ),
        (Hasty, {BEFORE, NEXT_TO_CLOSE}),
        (Once, {ERROR}),
        (Foreign, {ERROR, BEFORE, UNLINKED, *CLOSES}),
        (Talkative, {"test_the_error_of_a_broken_link_says_something_and_nothing_of_a_message", *CLOSES}),
        (OneWay, {REOPENED, "test_a_link_that_was_closed_opens_again"}),
        (Haunted, {REOPENED}),
        (
            Sulking,
            {
                "test_closing_twice_is_fine",
                "test_closing_what_was_never_open_is_fine",
            },
        ),
        (Anything, {"test_a_message_of_the_wrong_dialect_is_a_type_error"}),
        (Codeless, CLOSES),
        (Full, {TAKEN}),
        (Stuck, {TAKEN, PENDING}),
        (Boasting, {PENDING, "test_nothing_is_pending_without_a_link"}),
    ],
)
def test_a_planted_fault_is_caught(
    planted: type[Planted], caught_by: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "PATIENCE_S", 0.6)
    assert set(failures(_suite(planted))) == caught_by


def test_a_transport_that_waits_for_its_answer_in_send_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "PATIENCE_S", 0.6)
    suite = _suite(Patient)
    with pytest.raises(AssertionError, match="did not return"):
        suite().test_send_does_not_wait_for_an_answer()  # type: ignore[attr-defined]


def test_a_transport_that_waits_for_the_network_in_send_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "PATIENCE_S", 0.6)
    with pytest.raises(AssertionError, match="did not return"):
        getattr(_suite(Waiting)(), TAKEN)()


def test_a_wake_that_is_heard_only_while_waiting_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "PATIENCE_S", 0.6)
    assert {"test_a_wake_before_receive_is_remembered", "test_many_wakes_make_one_receive_return"} <= set(
        failures(_suite(Forgetful))
    )


def _suite(kind: type[MemoryTransport]) -> type[Contract]:
    class Suite(ClosingTransportContract):
        def make(self) -> Transport:
            return kind()

        def peer(self, transport: Transport) -> MemoryPeer:
            assert isinstance(transport, MemoryTransport)
            return transport.peer

        def dispose(self, adapter: Any) -> None:
            pipe = adapter._pipe
            MemoryTransport.close(adapter)
            if pipe is not None:
                pipe.end(TransportError("over"))

    return Suite
