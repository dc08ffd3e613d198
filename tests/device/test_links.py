"""Which link carries the data, and when the next try is due."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from plexus.adapters.transport.memory import MemoryTransport
from plexus.device.link import Link
from plexus.device.links import BOTH_OPEN_S, LinkKeeper, Unreachable
from plexus.domain.errors import TransportError
from plexus.protocol.device import DeviceSession
from plexus.protocol.messages import ClockSampled, Ended, Ready
from plexus.protocol.request import RequestSession
from tests.support.pair import batch_of, hello
from tests.support.peer import KEY, Gateway, HandClock


class Keeping:
    def __init__(self, run: Callable[[Callable[[], None]], None] = lambda job: job()) -> None:
        self.gateway = Gateway()
        self.clock = HandClock()
        self.rung = 0
        self.socket = Link(
            "ws",
            self.gateway.socket,
            lambda: DeviceSession(hello(), self.clock.tick),
            timeout_s=10.0,
            run=run,
            rang=self.ring,
        )
        self.http = Link(
            "http",
            self.gateway.http,
            lambda: RequestSession(KEY, "drone-01", "1.0", self.clock.tick),
            timeout_s=10.0,
            run=run,
            rang=self.ring,
        )
        self.keeper = LinkKeeper(self.socket, self.http, lambda: 0.5)

    def ring(self) -> None:
        self.rung += 1

    def run(self, seconds: float) -> list[object]:
        events: list[object] = []
        end = self.clock.now + seconds
        while self.clock.now < end:
            events += self.keeper.advance(self.clock.now)
            self.gateway.pump(self.clock)
            self.clock.advance(0.01)
        return events

    @property
    def link(self) -> str:
        return "" if self.keeper.active is None else self.keeper.active.name


def test_the_socket_is_the_first_choice() -> None:
    keeping = Keeping()
    events = keeping.run(0.1)
    assert keeping.link == "ws"
    assert [type(event) for event in events] == [Ready, ClockSampled]
    assert keeping.gateway.http.peer.opened == 0


def test_http_is_tried_as_soon_as_there_is_no_socket() -> None:
    keeping = Keeping()
    keeping.gateway.refuse_sockets("no route to host")
    events = keeping.run(0.1)
    assert keeping.link == "http"
    assert keeping.keeper.fallen_back
    assert events[0] == Unreachable("ws", "no route to host")


def test_the_socket_takes_over_from_http_as_soon_as_it_can() -> None:
    keeping = Keeping()
    keeping.gateway.refuse_sockets()
    keeping.run(0.1)
    keeping.gateway.refuse_sockets(None)
    keeping.run(1.5)
    assert keeping.link == "ws"
    assert not keeping.gateway.http.peer.connected


def test_a_socket_that_worked_is_tried_once_more_before_http() -> None:
    keeping = Keeping()
    keeping.run(0.1)
    keeping.gateway.break_links()
    keeping.run(0.9)
    assert keeping.gateway.http.peer.opened == 0
    keeping.gateway.refuse_sockets()
    keeping.run(0.3)
    assert keeping.link == "http"


def test_pauses_between_tries_double_up_to_a_minute() -> None:
    keeping = Keeping()
    keeping.gateway.refuse_all()
    tried_at = []
    for _ in range(20_000):
        if any(isinstance(event, Unreachable) and event.link == "ws" for event in keeping.run(0.01)):
            tried_at.append(keeping.clock.now)
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(tried_at)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_goodbye_is_answered_between_a_tenth_and_a_half_of_a_second() -> None:
    keeping = Keeping()
    keeping.run(0.1)
    keeping.gateway.goodbye(1001)
    (event,) = keeping.run(0.28)
    assert isinstance(event, Ended)
    assert event.goodbye
    assert keeping.link == ""
    keeping.run(0.1)
    assert keeping.link == "ws"


@pytest.mark.parametrize("code", [1006, 1008, 1011])
def test_a_close_for_another_reason_is_no_goodbye(code: int) -> None:
    keeping = Keeping()
    keeping.run(0.1)
    keeping.gateway.goodbye(code)
    keeping.run(0.6)
    assert keeping.link == ""


def test_what_the_gateway_said_before_it_left_counts_when_a_write_fails() -> None:
    keeping = Keeping()
    keeping.run(0.1)
    keeping.gateway.goodbye(1001)
    # Found out by writing, not by reading.
    keeping.socket.send_frame(b"\x01")
    (event,) = keeping.socket.poll(keeping.clock.now)
    assert isinstance(event, Ended)
    assert event.goodbye


def test_a_dial_that_fails_in_an_unforeseen_way_is_a_failed_dial() -> None:
    class Odd(MemoryTransport):
        def open(self, timeout: float) -> None:
            raise OSError("something else")

    link = Link(
        "custom",
        Odd(),
        lambda: RequestSession(KEY, "s1", "1", lambda: 0),
        timeout_s=1,
        run=lambda job: job(),
        rang=lambda: None,
    )
    link.dial()
    (event,) = link.poll(0.0)
    assert isinstance(event, Ended)
    assert "OSError: something else" in event.reason


@pytest.mark.parametrize("verb", ["send", "receive"])
def test_a_transport_that_fails_in_an_unforeseen_way_ends_its_link(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = Keeping()
    keeping.run(0.1)

    def fail(*_arguments: object) -> None:
        raise OSError("something else")

    monkeypatch.setattr(keeping.gateway.socket, verb, fail)
    keeping.socket.send_frame(b"\x01")
    (event,) = keeping.socket.poll(keeping.clock.now)
    assert isinstance(event, Ended)
    assert "OSError: something else" in event.reason


def test_a_dial_that_gets_no_thread_is_a_failed_dial() -> None:
    def no_thread(job: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    keeping = Keeping(no_thread)
    events = keeping.run(0.05)
    assert [event.link for event in events if isinstance(event, Unreachable)] == ["ws", "http"]
    assert keeping.keeper.next_time(keeping.clock.now) is not None


def test_the_outcome_of_a_dial_that_was_given_up_is_not_taken_for_the_next_ones() -> None:
    jobs: list[Callable[[], None]] = []
    keeping = Keeping(jobs.append)
    link = keeping.socket
    keeping.gateway.refuse_sockets()
    link.dial()
    link.hang_up("given up")
    link.dial()
    jobs[0]()
    assert link.poll(keeping.clock.now) == []
    keeping.gateway.refuse_sockets(None)
    jobs[1]()
    link.poll(keeping.clock.now)
    assert link.open
    assert keeping.rung == 2


def test_nothing_is_written_to_a_link_that_is_closed() -> None:
    keeping = Keeping()
    keeping.socket.send_frame(b"\x01")
    assert not keeping.socket.has_room(1)
    with pytest.raises(TransportError):
        keeping.gateway.socket.send(b"\x01")


def test_there_is_no_hope_only_while_no_link_is_up_or_due() -> None:
    keeping = Keeping()
    assert not keeping.keeper.is_hopeless_until(1.0)
    keeping.gateway.refuse_all()
    keeping.run(0.05)
    now = keeping.clock.now
    assert keeping.keeper.is_hopeless_until(now + 0.5)
    assert not keeping.keeper.is_hopeless_until(now + 2.0)
    keeping.keeper.retry_now()
    assert not keeping.keeper.is_hopeless_until(now + 0.5)


def test_http_waits_for_its_answer_before_the_socket_takes_over() -> None:
    keeping = Keeping()
    keeping.gateway.refuse_sockets()
    keeping.run(0.1)
    active = keeping.keeper.active
    assert active is not None
    keeping.gateway.status = 503
    keeping.gateway.answers = False
    batch = batch_of(1)
    active.submit(batch, 1, batch.body, keeping.clock.now)
    keeping.gateway.refuse_sockets(None)
    keeping.run(1.5)
    assert keeping.keeper.usable is None
    assert keeping.link == "http"
    keeping.gateway.answers = True
    keeping.run(0.1)
    assert keeping.link == "ws"


def test_both_links_are_looked_at_while_one_carries_the_data_and_the_other_greets() -> None:
    keeping = Keeping()
    keeping.gateway.refuse_sockets()
    keeping.run(0.1)
    assert keeping.keeper.next_time(keeping.clock.now) != keeping.clock.now
    keeping.gateway.refuse_sockets(None)
    keeping.clock.advance(2.0)
    for _ in range(2):
        keeping.keeper.advance(keeping.clock.now)
    assert keeping.socket.open
    assert keeping.link == "http"
    assert keeping.keeper.next_time(keeping.clock.now) == pytest.approx(keeping.clock.now + BOTH_OPEN_S)


def test_the_one_that_greets_is_listened_to_while_the_other_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = Keeping()
    keeping.gateway.refuse_sockets()
    keeping.run(0.1)
    keeping.gateway.refuse_sockets(None)
    keeping.clock.advance(2.0)
    for _ in range(2):
        keeping.keeper.advance(keeping.clock.now)
    waited: list[str] = []
    for link in (keeping.socket, keeping.http):
        monkeypatch.setattr(link, "wait", lambda _seconds, _now, name=link.name: waited.append(name))
    assert keeping.keeper.wait(1.0, lambda: keeping.clock.now)
    active = keeping.keeper.active
    assert active is not None
    batch = batch_of(1)
    active.submit(batch, 1, batch.body, keeping.clock.now)
    assert keeping.keeper.wait(1.0, lambda: keeping.clock.now)
    assert waited == ["ws", "http"]


def test_a_link_that_is_ready_takes_over_as_soon_as_the_last_answer_is_there() -> None:
    keeping = Keeping()
    keeping.gateway.refuse_sockets()
    keeping.run(0.1)
    active = keeping.keeper.active
    assert active is not None
    keeping.gateway.answers = False
    batch = batch_of(1)
    active.submit(batch, 1, batch.body, keeping.clock.now)
    keeping.gateway.refuse_sockets(None)
    keeping.run(1.5)
    assert keeping.keeper.usable is None
    keeping.gateway.answers = True
    keeping.gateway.pump(keeping.clock)
    keeping.keeper.advance(keeping.clock.now)
    assert keeping.keeper.next_time(keeping.clock.now) == keeping.clock.now


def test_a_dial_that_is_over_is_due_at_once() -> None:
    keeping = Keeping()
    keeping.keeper.advance(keeping.clock.now)
    assert keeping.keeper.next_time(keeping.clock.now) == 0.0
