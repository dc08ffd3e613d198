"""Both ends under any order of settling, delivery, loss and reconnection: nothing lost, nothing twice, nothing stuck.

Hypothesis plays the network and the store. The machine is run for batch names, where a reconnection may come at any
moment, and for 0.16.0's numbers, where what a dead connection stored without telling may be stored twice.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plexus.protocol.batch import Batch
from plexus.protocol.device import State as DeviceState
from plexus.protocol.frames import UNAVAILABLE
from plexus.protocol.gatewayevents import Settlement
from plexus.protocol.messages import Delivered, Ended, Refused, Rewound
from tests.support.pair import ConnectionPair, Shelf, batch_of


class PairMachine(RuleBasedStateMachine):
    """A device with an endless supply of batches, its gateway, and what became of each batch."""

    old: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()
        self.made = 0
        self.waiting: list[Batch] = []
        self.sent: list[Batch] = []
        self.delivered: list[int] = []
        self.refused: list[int] = []
        self.resent = 0
        self.pair = self.connect()

    def connect(self) -> ConnectionPair:
        pair = ConnectionPair(old=self.old, shelf=self.shelf, auto_settle=False)
        pair.open()
        return pair

    @initialize()
    def begin(self) -> None:
        self.account()

    @rule(count=st.integers(1, 4))
    def submit(self, count: int) -> None:
        for _ in range(count):
            if not self.waiting:
                self.made += 1
                self.waiting.append(batch_of(self.made))
            if self.pair.device.has_room(1):
                batch = self.waiting.pop(0)
                unsettled = [*self.sent, batch]
                self.sent.append(batch)
                self.pair.device.submit(batch, min(b.n for b in unsettled), batch.body, self.pair.now)
        self.pair.pump_device()
        self.account()

    @rule()
    def deliver_one_to_the_gateway(self) -> None:
        self.pair.deliver_to_gateway()

    @precondition(lambda self: len(self.pair.to_gateway) > 1)
    @rule()
    def deliver_the_newest_to_the_gateway_first(self) -> None:
        """0.16.0 sends from several threads, and two links may carry one stream."""
        self.pair.to_gateway.rotate(1)
        self.pair.deliver_to_gateway()

    @rule()
    def deliver_one_to_the_device(self) -> None:
        self.pair.deliver_to_device()
        self.account()

    @precondition(lambda self: self.pair.unsettled)
    @rule(data=st.data())
    def store_in_any_order_that_a_store_may_have(self, data: st.DataObject) -> None:
        """Commits are in order of arrival where batches have names; their reports may be late and in any order."""
        self.commit_arrivals()
        ticket = data.draw(st.sampled_from(sorted(self.pair.unsettled)))
        self.pair.settle(ticket, self.done.pop(ticket))

    @precondition(lambda self: self.old and self.pair.unsettled)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        fresh = sorted(set(self.pair.unsettled) - set(self.done))
        if fresh:
            self.pair.settle(data.draw(st.sampled_from(fresh)), Settlement("store", refused="RATE_LIMITED"))

    @precondition(lambda self: self.pair.unsettled)
    @rule()
    def the_store_fails(self) -> None:
        """What is not committed is not stored, and no frame is released any more."""
        failed = set(self.pair.unsettled) - set(self.done)
        for ticket in sorted(failed):
            self.pair.settle(ticket, Settlement("store", refused=UNAVAILABLE))
        if self.pair.gateway.close is not None:
            while self.pair.deliver_to_device():
                pass
            self.break_the_connection()

    @rule(seconds=st.floats(0.01, 5.0))
    def let_time_pass(self, seconds: float) -> None:
        # A number that is overtaken by more than the patience is taken for skipped: that is its contract.
        while self.old and self.pair.deliver_to_gateway():
            pass
        self.pair.now += seconds
        self.pair.gateway.tick(self.pair.now)
        self.pair.device.tick(self.pair.now)
        self.pair.pump_gateway()
        self.pair.pump_device()
        self.account()

    @rule()
    def break_the_connection(self) -> None:
        self.pair.device.ended("the network is gone")
        self.pair.pump_device()
        self.account()
        self.done.clear()
        self.pair = self.connect()

    @invariant()
    def what_counts_as_delivered_is_stored(self) -> None:
        stored = Counter(self.shelf.metrics)
        assert all(stored[f"m.a.{n}"] >= 1 for n in self.delivered)

    @invariant()
    def nothing_is_stored_twice_where_batches_have_names(self) -> None:
        if not self.old:
            assert max(Counter(self.shelf.metrics).values(), default=1) == 1

    @invariant()
    def each_batch_is_somewhere_once(self) -> None:
        places = [batch.n for batch in self.waiting] + [batch.n for batch in self.sent] + self.delivered + self.refused
        assert sorted(places) == list(range(1, self.made + 1))

    def teardown(self) -> None:
        """The network works again: everything that waits arrives."""
        for _ in range(200):
            if not self.waiting and not self.sent:
                break
            self.submit(32)
            self.pair.pump_gateway()
            while self.pair.deliver_to_gateway():
                pass
            self.commit_arrivals()
            for ticket in sorted(self.pair.unsettled):
                self.pair.settle(ticket, self.done.pop(ticket))
            while self.pair.deliver_to_device():
                self.account()
            self.let_time_pass(0.3)
        assert not self.waiting
        assert not self.sent
        self.what_counts_as_delivered_is_stored()
        self.nothing_is_stored_twice_where_batches_have_names()

    # --- inside ---------------------------------------------------------------------------------------------

    @property
    def done(self) -> dict[int, Settlement]:
        """What is committed and not reported yet, by ticket."""
        return self.pair.committed

    def commit_arrivals(self) -> None:
        for ticket in sorted(set(self.pair.unsettled) - set(self.done)):
            self.done[ticket] = self.shelf.commit(self.pair.unsettled[ticket])

    def account(self) -> None:
        """Move the batches to where the device says that they are."""
        events, self.pair.device_events = self.pair.device_events, []
        for event in events:
            if isinstance(event, Delivered):
                self.delivered += [batch.n for batch in self.left(event.batches)]
            elif isinstance(event, Refused):
                self.refused += [batch.n for batch in self.left(event.batches)]
            elif isinstance(event, (Rewound, Ended)):
                self.waiting = sorted([*self.left(event.batches), *self.waiting], key=lambda batch: batch.n)
        if self.pair.device.state is DeviceState.ENDED and events:
            self.done.clear()
            self.pair = self.connect()

    def left(self, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        for batch in batches:
            self.sent.remove(batch)
        return batches


class NumberedMachine(PairMachine):
    """The same for 0.16.0's `seq`."""

    old = ("ext",)


TestBatchNames = PairMachine.TestCase
TestBatchNames.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestNumbers = NumberedMachine.TestCase
TestNumbers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
