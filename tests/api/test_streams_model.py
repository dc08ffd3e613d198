"""The union of what a stream delivers is exactly what was stored, in order, once: whatever happens to the gateway.

Hypothesis commits, delays, cuts, stops and restarts a model of a gateway under a stream's core, with cursors and
without. `tests/e2e/test_streams_over_restarts.py` does it to real processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.api.gatewaymodel import START_S, Consumer, ModelGateway, Row

MINUTE_MS = 60_000.0


class Life(RuleBasedStateMachine):
    """A stream and its gateway. Every value is new, but for twins: points of one commit that are alike in all."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.gateway: ModelGateway | None = None

    @initialize(cursors=st.booleans(), before=st.integers(0, 12), backfill=st.booleans())
    def open(self, cursors: bool, before: int, backfill: bool) -> None:
        self.gateway = ModelGateway(cursors=cursors)
        for _ in range(before):
            self.gateway.commit(*self.rows(1, twins=False))
            self.gateway.pass_time(5.0)
        since_ms = (START_S * 1e3 + 10_000.0) if backfill else None
        self.expected_before = [row for row in self.gateway.stored if since_ms is not None and row[1] >= since_ms]
        self.old = len(self.gateway.log)
        self.consumer = Consumer(self.gateway, since_ms=since_ms)
        # Without cursors and without a backfill nobody can know when the gateway began to listen.
        if not backfill:
            assert self.gateway.connection is not None
            self.gateway.connection.listens = True

    def rows(self, count: int, *, twins: bool) -> list[Row]:
        assert self.gateway is not None
        found: list[Row] = []
        for _ in range(count):
            self.count += 1
            self.gateway.now_s = round(self.gateway.now_s + 0.001, 3)
            found.append((f"m{self.count % 2}", round(self.gateway.now_s * 1e3, 3), self.count))
        return found[:1] * twins + found

    def later(self, when_asked: bool, what: Callable[[], None]) -> None:
        """Now, or while the stream asks the history."""
        if when_asked:
            self.consumer.before_ask.append(what)
        else:
            what()
            self.consumer.run()

    @rule(count=st.integers(1, 6), twins=st.booleans(), when_asked=st.booleans())
    def commit(self, count: int, twins: bool, when_asked: bool) -> None:
        gateway = self.gateway
        assert gateway is not None
        self.later(when_asked, lambda: gateway.commit(*self.rows(count, twins=twins)) if gateway.up else None)

    @rule(count=st.integers(1, 4), when_asked=st.booleans())
    def arrive(self, count: int, when_asked: bool) -> None:
        def frames() -> None:
            assert self.gateway is not None
            for _ in range(count):
                if self.gateway.connection is not None:
                    self.gateway.connection.arrive()

        self.later(when_asked, frames)

    @rule(when_asked=st.booleans())
    def listen(self, when_asked: bool) -> None:
        def listens() -> None:
            assert self.gateway is not None
            if self.gateway.connection is not None:
                self.gateway.connection.listens = True

        self.later(when_asked, listens)

    @rule(when_asked=st.booleans())
    def cut(self, when_asked: bool) -> None:
        assert self.gateway is not None
        self.later(when_asked, self.gateway.cut)

    @rule(seconds=st.sampled_from([0.1, 3.0]), when_asked=st.booleans())
    def stop(self, seconds: float, when_asked: bool) -> None:
        gateway = self.gateway
        assert gateway is not None
        self.later(when_asked, lambda: gateway.stop(seconds))

    @precondition(lambda self: self.gateway is not None and self.gateway.cursors)
    @rule(when_asked=st.booleans())
    def forget_cursors(self, when_asked: bool) -> None:
        assert self.gateway is not None
        self.later(when_asked, self.gateway.forget)

    @rule(when_asked=st.booleans())
    def overflow(self, when_asked: bool) -> None:
        assert self.gateway is not None
        self.later(when_asked, self.gateway.overflow)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0, 12.0]))
    def pass_time(self, seconds: float) -> None:
        assert self.gateway is not None
        for _ in range(round(seconds / 0.1)):
            self.gateway.pass_time(0.1)
            self.consumer.run()

    @invariant()
    def nothing_came_twice_or_out_of_order(self) -> None:
        if self.gateway is None:
            return
        assert not self.consumer.counted() - Counter(self.gateway.stored)
        for metric in ("m0", "m1"):
            times = [row[1] for row in self.consumer.got if row[0] == metric]
            assert times == sorted(times)

    def teardown(self) -> None:
        if self.gateway is None:
            return
        self.consumer.before_ask.clear()
        self.consumer.settle()
        expected = self.expected_before + [row for commit in self.gateway.log[self.old :] for row in commit]
        assert self.consumer.counted() == Counter(expected)
        self.nothing_came_twice_or_out_of_order()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
