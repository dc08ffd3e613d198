"""A gateway as a model: what is stored, one live socket with frames on their way, a clock that goes when told to.

It carries out the steps of a stream's core (`plexus.api.streams.steps`) without I/O, and keeps what the core delivers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import attrs

from plexus.api.refusals import Answer
from plexus.api.streams import steps
from plexus.api.streams.clocks import Clocks
from plexus.api.streams.follower import SETTLE_S, Follower
from plexus.api.streams.kinds import points
from plexus.domain.errors import TransportError
from plexus.domain.live import LivePoint
from plexus.protocol import jsontext, live

LONGEST_WAY_S = 4.0
"""No frame is longer on its way than this, and no gateway takes longer to listen."""

START_S = 1_800_000_000.0

Row = tuple[str, float, int]
"""Metric, milliseconds, value."""


class ModelGateway:
    """One source. `cursors`: it has the extension `resume`. `rows`: at most so many in an answer of the history."""

    def __init__(self, *, cursors: bool, rows: int = 4) -> None:
        self.cursors = cursors
        self.rows = rows
        self.now_s = START_S
        self.down_until_s = 0.0
        self.log: list[tuple[Row, ...]] = []
        self.order = 0
        self.kept_from = 0
        self.connection: _Connection | None = None

    @property
    def up(self) -> bool:
        return self.now_s >= self.down_until_s

    def stop(self, seconds: float) -> None:
        """Away for so long, and every connection with it."""
        self.down_until_s = self.now_s + seconds
        self.cut()

    @property
    def stored(self) -> list[Row]:
        return [row for commit in self.log for row in commit]

    def commit(self, *rows: Row) -> None:
        self.log.append(rows)
        if self.connection is not None and self.connection.listens:
            self.connection.send(self._frame(len(self.log) - 1), self.now_s)

    def cut(self) -> None:
        """The connection is lost with all that is on its way."""
        if self.connection is not None:
            self.connection.broken = True

    def forget(self) -> None:
        """Cursors from before mean nothing any more, as after a backup was restored."""
        self.order += 1
        self.cut()

    def overflow(self) -> None:
        """The reader is too slow: the oldest frame of what waits for it goes, and it is told."""
        connection = self.connection
        if connection is None:
            return
        for index, (_at, message) in enumerate(connection.way):
            frame = live.parse(message)
            if isinstance(frame, live.LivePoints):
                connection.way[index] = (self.now_s, live.missed_message(len(frame.points)))
                return

    def pass_time(self, seconds: float) -> None:
        """Time goes on, in small steps so that nothing is longer on its way than it may be."""
        self.now_s += seconds
        connection = self.connection
        if connection is None:
            return
        if self.now_s - connection.since > LONGEST_WAY_S:
            connection.listens = True
        while connection.way and self.now_s - connection.way[0][0] > LONGEST_WAY_S:
            connection.arrive()

    def accept(self, cursor: str) -> None:
        if not self.up:
            raise TransportError("nobody listens there")
        self.connection = _Connection(self.now_s)
        if self.cursors:
            self._greet(self.connection, cursor)

    def history(self, start_ms: float, end_ms: float) -> bytes:
        if not self.up:
            raise TransportError("nobody listens there")
        found = sorted((row for row in self.stored if start_ms <= row[1] < end_ms), key=lambda row: row[1])
        series: dict[str, dict[str, list[Any]]] = {}
        for metric, at, value in found[: self.rows]:
            columns = series.setdefault(metric, {"timestamp_ms": [], "value": []})
            columns["timestamp_ms"].append(at)
            columns["value"].append(value)
        answer = {"interval": "raw", "auto_downsampled": False, "truncated": len(found) > self.rows, "series": series}
        return jsontext.dumps(answer).encode()

    def _greet(self, connection: _Connection, cursor: str) -> None:
        connection.listens = True
        order, _, place = cursor.partition("-")
        if cursor and order == str(self.order) and int(place) >= self.kept_from:
            connection.send(live.ready_message(live.Ready(cursor, resumed=True)), self.now_s)
            for index in range(int(place), len(self.log)):
                connection.send(self._frame(index), self.now_s)
        else:
            known = {"resumed": False, "since_ms": self.now_s * 1e3, "reason": "not known"} if cursor else {}
            here = f"{self.order}-{len(self.log)}"
            connection.send(live.ready_message(live.Ready(here, **known)), self.now_s)  # type: ignore[arg-type]

    def _frame(self, index: int) -> str:
        found = [
            live.point_object("a1", metric, value, round(at * 1e3) * 1_000) for metric, at, value in self.log[index]
        ]
        return live.points_message(found, f"{self.order}-{index + 1}" if self.cursors else None)


@attrs.define
class _Connection:
    """`way`: when each frame was sent, and the frame; `there`: what can be read."""

    since: float
    listens: bool = False
    broken: bool = False
    way: deque[tuple[float, str]] = attrs.field(factory=deque)
    there: deque[str] = attrs.field(factory=deque)

    def send(self, message: str, now_s: float) -> None:
        self.way.append((now_s, message))

    def arrive(self) -> None:
        if self.way:
            self.there.append(self.way.popleft()[1])


class Consumer:
    """Runs a core against a model; what it delivered is in `got`. `before_ask` happens before each answer of the
    history, once each."""

    def __init__(
        self,
        gateway: ModelGateway,
        *,
        since_ms: float | None = None,
        lossless: bool = True,
        first: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.gateway = gateway
        self.got: list[Row] = []
        self.told: list[str] = []
        self.before_ask: deque[Callable[[], None]] = deque(first)
        clocks = Clocks(lambda: gateway.now_s * 1e3, lambda: gateway.now_s, lambda: 0.5)
        follower = Follower(points(None), "a1", since_ms=since_ms, lossless=lossless, clocks=clocks)
        self._core = follower.steps()
        self._step: steps.Step = next(self._core)
        self._until: float | None = None
        self.run()

    def run(self) -> None:
        """Go on until the core waits for what is not there."""
        while True:
            try:
                done, outcome = self._carried_out(self._step)
            except TransportError as exc:
                self._next(self._core.throw(exc))
                continue
            if not done:
                return
            self._next(self._core.send(outcome))

    def settle(self) -> None:
        """Let everything arrive and all of the core's waiting be over."""
        for _ in range(120):
            self.gateway.pass_time(0.5)
            self.run()

    def counted(self) -> Counter[Row]:
        return Counter(self.got)

    def _next(self, step: steps.Step) -> None:
        self._step, self._until = step, None

    def _carried_out(self, step: steps.Step) -> tuple[bool, Any]:
        """Whether the step is over, and what came of it."""
        gateway = self.gateway
        if isinstance(step, steps.Receive):
            return self._received(step)
        if isinstance(step, steps.Pause):
            self._until = gateway.now_s + step.seconds if self._until is None else self._until
            return gateway.now_s >= self._until, None
        if isinstance(step, steps.Ask):
            if self.before_ask:
                self.before_ask.popleft()()
            query = parse_qs(step.call.request.target.partition("?")[2])
            start, end = (_milliseconds(query[name][0]) for name in ("start", "end"))
            return True, step.call.read(Answer(200, {}, gateway.history(start, end)))
        if isinstance(step, steps.Connect):
            gateway.accept(dict(step.request.params)["cursor"])
        elif isinstance(step, steps.HangUp):
            gateway.connection = None
        elif isinstance(step, steps.Deliver):
            self.got.extend(_row(point) for point in step.items)
        elif isinstance(step, steps.Tell):
            self.told.append(step.notice.state)
        return True, None

    def _received(self, step: steps.Receive) -> tuple[bool, Any]:
        gateway, connection = self.gateway, self.gateway.connection
        assert connection is not None
        if connection.broken:
            raise TransportError("the connection was cut")
        if connection.there:
            return True, connection.there.popleft()
        if step.timeout_s is None:
            return False, None
        self._until = gateway.now_s + step.timeout_s if self._until is None else self._until
        return gateway.now_s >= self._until, None


def _row(point: LivePoint) -> Row:
    assert isinstance(point.value, int)
    return point.metric, point.timestamp_ms, point.value


def _milliseconds(text: str) -> float:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e3, 3)


assert LONGEST_WAY_S < SETTLE_S
