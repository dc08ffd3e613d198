"""Whatever the network, the gateway and the power do: what was sent is stored, once, in order within its stream."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plexus.device import dispatch
from plexus.device.dispatch import SPOOL_AFTER_S
from plexus.protocol import device
from tests.support.peer import Gateway, HandClock
from tests.support.rig import ListBuffer, Rig

SLACK_S = 0.001
"""The hand of the clock moves in whole milliseconds."""


class Delivery(RuleBasedStateMachine):
    """One device and one gateway. The spool is durable, everything else of the device dies with `crash`."""

    @initialize(transport=st.sampled_from(["ws", "ws", "http"]), loses_frames=st.booleans(), narrow=st.booleans())
    def begin(self, transport: str, loses_frames: bool, narrow: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        if narrow:
            # A window that a few batches fill, so that fresh data meets a backlog that is still waiting.
            self.patch.setattr(device, "WINDOW_FRAMES", 3)
            self.patch.setattr(dispatch, "BACKLOG_FRAMES", 2)
        self.transport = transport
        self.loses_frames = loses_frames
        self.gateway = Gateway()
        self.clock = HandClock()
        self.spool = ListBuffer()
        self.sent: dict[int, float] = {}
        self.may_be_lost: set[int] = set()
        self.rig = self.boot()

    def boot(self) -> Rig:
        return Rig(self.gateway, self.spool, clock=self.clock, transport=self.transport)

    def send(self, count: int) -> None:
        for value in range(len(self.sent), len(self.sent) + count):
            self.sent[value] = self.clock.now
            self.rig.send(value)

    @rule(
        counts=st.lists(st.sampled_from([1, 2, 50, 1_200]), min_size=1, max_size=6),
        seconds=st.sampled_from([0.001, 0.06, 0.1, 0.3]),
    )
    def send_for_a_while(self, counts: list[int], seconds: float) -> None:
        for count in counts:
            self.send(count)
            self.rig.run(seconds)

    @rule(count=st.sampled_from([1, 1_200]))
    def send_and_let_the_device_alone_do_something(self, count: int) -> None:
        self.send(count)
        self.rig.uplink.step(self.clock.now)

    @rule(seconds=st.sampled_from([0.02, 0.3, 2.0, 35.0]))
    def wait(self, seconds: float) -> None:
        self.rig.run(seconds)

    @rule(messages=st.integers(1, 4))
    def step_of_the_gateway_alone(self, messages: int) -> None:
        self.gateway.pump(self.clock, messages)

    @rule()
    def break_every_connection(self) -> None:
        self.gateway.break_links()

    @rule(code=st.sampled_from([1001, 1013, 1011]))
    def close_from_the_gateway(self, code: int) -> None:
        self.gateway.goodbye(code)

    @rule(who=st.sampled_from(["sockets", "all", "nobody"]))
    def refuse(self, who: str) -> None:
        self.gateway.refuse_all("no route" if who == "all" else None)
        self.gateway.refuse_sockets("no route" if who != "nobody" else None)

    @rule(answers=st.booleans())
    def stop_or_go_on_committing(self, answers: bool) -> None:
        self.gateway.answers = answers

    @rule()
    def commit_and_have_the_answers_lost(self) -> None:
        before, self.gateway.answers, self.gateway.mute = self.gateway.answers, True, True
        self.gateway.pump(self.clock)
        self.gateway.break_links()
        self.gateway.answers, self.gateway.mute = before, False

    @rule(count=st.integers(1, 3))
    def lose_frames_between_reading_and_committing(self, count: int) -> None:
        self.gateway.gaps = count if self.loses_frames else 0

    @rule(status=st.sampled_from([None, 429, 503, 404]))
    def answer_requests_with(self, status: int | None) -> None:
        self.gateway.status = status

    @rule()
    def kill_the_device_and_start_it_again(self) -> None:
        deadline = self.clock.now - SPOOL_AFTER_S - SLACK_S
        self.may_be_lost |= {value for value, at in self.sent.items() if at > deadline}
        self.rig.crash()
        self.rig = self.boot()

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        values = self.gateway.values()
        assert len(values) == len(set(map(str, values)))

    @invariant()
    def each_stream_is_stored_in_order(self) -> None:
        for values in self.gateway.by_stream.values():
            assert values == sorted(values, key=int)  # type: ignore[arg-type]

    @invariant()
    def a_gateway_that_loses_nothing_never_sees_a_batch_out_of_its_order(self) -> None:
        assert self.loses_frames or self.gateway.strays == []

    @invariant()
    def nothing_is_dropped(self) -> None:
        assert self.rig.counters.dropped() == {}

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        try:
            self.heal_and_compare()
        finally:
            self.patch.undo()

    def heal_and_compare(self) -> None:
        self.gateway.refuse_all(None)
        self.gateway.answers, self.gateway.status, self.gateway.gaps = True, None, 0
        for _ in range(100):
            self.rig.run(2.0)
            if not self.rig.uplink.waiting():
                break
        assert self.rig.uplink.waiting() == 0
        assert self.spool.points == 0
        missing = set(self.sent) - set(self.gateway.values())
        assert missing <= self.may_be_lost
        self.nothing_is_stored_twice()
        self.each_stream_is_stored_in_order()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
