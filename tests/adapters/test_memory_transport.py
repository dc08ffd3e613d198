"""What a memory transport has beside its contract: the far end, as tests and a gateway in the process use it."""

from __future__ import annotations

import pytest

from plexus.adapters.transport.memory import MemoryTransport
from plexus.domain.errors import TransportClosed, TransportError
from plexus.protocol.messages import HttpAnswer, HttpRequest


def test_the_far_end_can_refuse_links_and_take_them_again() -> None:
    transport = MemoryTransport()
    transport.peer.refuse("the gateway is being mended: try later")
    with pytest.raises(TransportError, match="being mended"):
        transport.open(1.0)
    transport.peer.refuse(None)
    transport.open(1.0)
    assert transport.peer.connected
    assert transport.peer.opened == 1


def test_the_far_end_still_receives_what_was_sent_before_the_device_closed() -> None:
    transport = MemoryTransport()
    transport.open(1.0)
    transport.send("last word")
    transport.close()
    assert transport.peer.receive() == "last word"
    assert transport.peer.receive(0.0) is None
    assert not transport.peer.connected


def test_the_far_end_without_a_link_is_silent() -> None:
    peer = MemoryTransport().peer
    peer.send("nobody hears it")
    peer.close(1001)
    peer.break_()
    assert peer.receive(0.0) is None
    assert not peer.connected


def test_what_the_far_end_says_after_the_end_is_not_heard() -> None:
    transport = MemoryTransport()
    transport.open(1.0)
    transport.peer.close(1001, "restarting")
    transport.peer.send("too late")
    with pytest.raises(TransportClosed, match=r"1001: restarting"):
        transport.receive(0.0)


def test_each_end_takes_the_messages_of_its_dialect_only() -> None:
    requests = MemoryTransport("request")
    requests.open(1.0)
    with pytest.raises(TypeError, match="request dialect"):
        requests.peer.send("text")
    with pytest.raises(TypeError, match="request dialect"):
        requests.send(HttpAnswer(200, {}, b""))
    sockets = MemoryTransport("socket")
    sockets.open(1.0)
    with pytest.raises(TypeError, match="socket dialect"):
        sockets.send(HttpRequest("GET", "/", {}))


def test_a_far_end_that_is_clogged_takes_nothing_until_it_is_not_and_loses_nothing() -> None:
    transport = MemoryTransport()
    transport.open(1.0)
    transport.peer.clog()
    transport.send("wärmer")
    transport.send(b"abc")
    assert transport.pending == 7 + 3
    assert transport.peer.receive(0.0) is None
    transport.peer.clog(False)
    assert transport.receive(0.0) is None
    assert transport.pending == 0
    assert [transport.peer.receive(), transport.peer.receive()] == ["wärmer", b"abc"]


def test_requests_of_a_clogged_link_count_with_their_bodies() -> None:
    transport = MemoryTransport("request")
    assert transport.pending == 0
    transport.peer.clog()
    transport.open(1.0)
    transport.peer.clog()
    transport.send(HttpRequest("POST", "/ingest", {}, b"12345"))
    assert transport.pending == 5
    transport.close()
    assert transport.pending == 0
