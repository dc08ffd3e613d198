"""What every transport must do, seen from both ends of the link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plexus.domain.errors import TransportClosed
from plexus.ports.transport import Transport
from plexus.protocol.messages import HttpRequest, Message
from plexus.testing.contracts import Contract
from plexus.testing.contracts.transport import driving
from plexus.testing.contracts.transport.driving import (
    SECRET,
    UNREAD,
    Background,
    ClosingEnd,
    FarEnd,
    all_received,
    answered,
    closing_end,
    cut,
    down,
    downs,
    drain,
    is_fault,
    large,
    next_message,
    raised_by,
    same,
    send_all,
    send_until_refused,
    up,
    ups,
    within,
)

__all__ = ["UNREAD", "ClosingEnd", "ClosingTransportContract", "FarEnd", "TransportContract"]


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
            transport.open(driving.PATIENCE_S)
            yield transport, self.peer(transport)
        finally:
            self.dispose(transport)

    # --- messages -------------------------------------------------------------------------------------------

    def test_the_dialect_is_socket_or_request(self) -> None:
        with self.link() as (transport, _peer):
            assert transport.dialect in ("socket", "request")

    def test_a_message_reaches_the_gateway_unchanged(self) -> None:
        with self.link() as (transport, peer):
            for sent in ups(transport):
                assert answered(transport, peer, sent, down(transport, 0))

    def test_a_message_reaches_the_device_unchanged(self) -> None:
        with self.link() as (transport, peer):
            for sent in downs(transport):
                transport.send(up(transport, 0))
                assert peer.receive(driving.PATIENCE_S) is not None
                peer.send(sent)
                assert same(sent, within(lambda: transport.receive(driving.PATIENCE_S)))

    def test_messages_come_in_the_order_in_which_they_were_sent(self) -> None:
        with self.link() as (transport, peer):
            for number in range(5):
                transport.send(up(transport, number))
            for number in range(5):
                assert same(up(transport, number), peer.receive(driving.PATIENCE_S))
                peer.send(down(transport, number))
            for number in range(5):
                assert same(down(transport, number), within(lambda: transport.receive(driving.PATIENCE_S)))

    def test_a_message_of_the_wrong_dialect_is_a_type_error(self) -> None:
        with self.link() as (transport, _peer):
            wrong: Message = "text" if transport.dialect == "request" else HttpRequest("POST", "/ingest", {})
            assert isinstance(raised_by(lambda: transport.send(wrong)), TypeError)

    # --- waiting --------------------------------------------------------------------------------------------

    def test_send_does_not_wait_for_an_answer(self) -> None:
        with self.link() as (transport, peer):
            within(lambda: transport.send(up(transport, 0)))
            within(lambda: transport.send(up(transport, 1)))
            assert same(up(transport, 0), peer.receive(driving.PATIENCE_S))

    def test_send_does_not_wait_for_the_network_and_what_waits_arrives_whole_and_in_order(self) -> None:
        with self.link() as (transport, peer):
            sent = [large(transport, number) for number in range(UNREAD)]
            within(lambda: send_all(transport, sent))
            reader = Background(lambda: all_received(peer, sent, lambda number: down(transport, number)))
            drain(transport)
            assert reader.result() is True

    def test_nothing_is_pending_before_the_first_message_and_after_all_were_taken(self) -> None:
        with self.link() as (transport, peer):
            assert transport.pending == 0
            sent = [large(transport, number) for number in range(UNREAD)]
            send_all(transport, sent)
            reader = Background(lambda: all_received(peer, sent, lambda number: down(transport, number)))
            drain(transport)
            left = transport.pending
            # Whether they came as they were sent is another test's question; nobody may be left waiting, though.
            reader.end()
            assert left == 0

    def test_nothing_is_pending_without_a_link(self) -> None:
        with self.link() as (transport, _peer):
            for number in range(UNREAD):
                transport.send(large(transport, number))
            transport.close()
            assert transport.pending == 0

    def test_receive_gives_none_when_nothing_comes(self) -> None:
        with self.link() as (transport, _peer):
            assert within(lambda: transport.receive(0.0)) is None
            assert within(lambda: transport.receive(0.02)) is None

    def test_wake_ends_a_receive_that_waits(self) -> None:
        with self.link() as (transport, _peer):
            waiting = Background(lambda: transport.receive(10 * driving.PATIENCE_S))
            # A wake that comes before `receive` waits counts as well, so nothing hangs on which is first.
            waiting.started.wait(driving.PATIENCE_S)
            transport.wake()
            assert waiting.result() is None

    def test_a_wake_before_receive_is_remembered(self) -> None:
        with self.link() as (transport, _peer):
            transport.wake()
            assert within(lambda: transport.receive(10 * driving.PATIENCE_S)) is None

    def test_many_wakes_make_one_receive_return(self) -> None:
        with self.link() as (transport, peer):
            for _ in range(100):
                transport.wake()
            assert within(lambda: transport.receive(10 * driving.PATIENCE_S)) is None
            assert answered(transport, peer, up(transport, 0), down(transport, 0))

    def test_a_wake_costs_no_message(self) -> None:
        with self.link() as (transport, peer):
            transport.send(up(transport, 0))
            assert peer.receive(driving.PATIENCE_S) is not None
            transport.wake()
            peer.send(down(transport, 0))
            assert same(down(transport, 0), next_message(transport))

    def test_wake_without_a_link_does_nothing(self) -> None:
        with self.link() as (transport, _peer):
            transport.close()
            transport.wake()

    # --- the end --------------------------------------------------------------------------------------------

    def test_a_broken_link_is_a_transport_error_again_and_again(self) -> None:
        with self.link() as (transport, peer):
            cut(transport, peer)
            assert is_fault(raised_by(lambda: next_message(transport)))
            assert is_fault(raised_by(lambda: transport.receive(0.0)))
            assert is_fault(raised_by(lambda: transport.send(up(transport, 1))))

    def test_what_came_before_the_end_is_received_before_the_error(self) -> None:
        with self.link() as (transport, peer):
            transport.send(up(transport, 0))
            assert peer.receive(driving.PATIENCE_S) is not None
            peer.send(down(transport, 0))
            cut(transport, peer)
            assert same(down(transport, 0), next_message(transport))
            assert is_fault(raised_by(lambda: next_message(transport)))

    def test_the_error_of_a_broken_link_says_something_and_nothing_of_a_message(self) -> None:
        with self.link() as (transport, peer):
            cut(transport, peer)
            text = str(raised_by(lambda: next_message(transport)))
            assert len(text) > 10
            assert SECRET not in text

    def test_a_link_that_broke_opens_again_and_is_a_new_one(self) -> None:
        with self.link() as (transport, peer):
            transport.send(up(transport, 0))
            assert peer.receive(driving.PATIENCE_S) is not None
            peer.send(down(transport, 0))
            cut(transport, peer)
            transport.wake()
            transport.open(driving.PATIENCE_S)
            assert answered(transport, self.peer(transport), up(transport, 7), down(transport, 7))

    def test_a_link_that_was_closed_opens_again(self) -> None:
        with self.link() as (transport, _peer):
            transport.close()
            transport.open(driving.PATIENCE_S)
            assert answered(transport, self.peer(transport), up(transport, 7), down(transport, 7))

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
            assert is_fault(raised_by(lambda: transport.send(up(transport, 0))))
            assert is_fault(raised_by(lambda: transport.receive(0.0)))


class ClosingTransportContract(TransportContract):
    """For transports whose gateway can close the link on purpose, with a code."""

    def peer(self, transport: Transport) -> ClosingEnd:
        """The far end of a transport that `make` gave."""
        raise NotImplementedError(f"{type(self).__name__} must say where its transport's far end is")

    def test_a_close_on_purpose_says_its_code_to_receive(self) -> None:
        for code in (1000, 1001, 1013, 4401):
            with self.link() as (transport, peer):
                assert answered(transport, peer, up(transport, 0), down(transport, 0))
                closing = Background(lambda peer=peer, code=code: closing_end(peer).close(code))  # type: ignore[misc]
                failure = raised_by(lambda transport=transport: next_message(transport))  # type: ignore[misc]
                closing.result()
                assert isinstance(failure, TransportClosed)
                assert failure.code == code

    def test_a_close_on_purpose_is_told_to_send_after_what_came_before_it(self) -> None:
        with self.link() as (transport, peer):
            assert answered(transport, peer, up(transport, 0), down(transport, 0))
            peer.send(down(transport, 1))
            closing = Background(lambda: closing_end(peer).close(1001))
            failure = raised_by(lambda: send_until_refused(transport))
            closing.result()
            assert isinstance(failure, TransportClosed)
            assert failure.code == 1001
            assert same(down(transport, 1), next_message(transport))
            assert isinstance(raised_by(lambda: next_message(transport)), TransportClosed)
