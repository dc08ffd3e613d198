"""Which answers to numbered telemetry may be sent (protocol page, section 4).

An answer for N, an ack or an error, covers everything up to N, and 0.16.0 sends from several threads, so a higher `seq`
can arrive first. Answering it would release a lower frame that is not stored. Invariants:

- answers leave in the order of `seq`, each once everything below it is settled or was given up;
- a number is given up only if it never arrived and one above it was settled `PATIENCE_S` ago: 0.16.0 skips numbers;
- a frame that arrived and is not settled yet is waited for, however long its commit takes.
"""

from __future__ import annotations

from typing import Union

import attrs

from plexus.protocol.frames import ErrorFrame, TelemetryAck

PATIENCE_S = 0.25

Answer = Union[TelemetryAck, ErrorFrame]


@attrs.frozen
class _Settled:
    at: float
    refusal: ErrorFrame | None


class AckWindow:
    """The `seq` numbers of one connection: what arrived and was settled in, the answers that may be sent out."""

    def __init__(self) -> None:
        self._floor = 0
        self._arrived: set[int] = set()
        self._settled: dict[int, _Settled] = {}

    def arrive(self, seq: int) -> None:
        """Frame `seq` is here and will be settled."""
        if seq > self._floor:
            self._arrived.add(seq)

    def settle(self, seq: int, now: float, refusal: ErrorFrame | None = None) -> list[Answer]:
        """Frame `seq` is stored, or refused with `refusal`. Returns what may be said now, in order."""
        self._arrived.discard(seq)
        if seq <= self._floor:
            # A higher answer covered it already, or it came twice: only a refusal has something to add.
            return [] if refusal is None else [refusal]
        if refusal is None and seq == self._floor + 1 and not self._settled:
            # Nothing before it and nothing behind it: what nearly every frame meets.
            self._floor = seq
            return [TelemetryAck(seq)]
        self._settled[seq] = _Settled(now, refusal)
        return self._advance(0)

    def tick(self, now: float) -> list[Answer]:
        """The time went on: what may be said because a hole was waited for long enough."""
        late = [seq for seq, settled in self._settled.items() if settled.at + PATIENCE_S <= now]
        return self._advance(max((seq for seq in late if seq < self._lowest_arrived()), default=0))

    @property
    def deadline(self) -> float | None:
        """When to call `tick` next, None if no hole is waited for."""
        if not self._settled:
            return None
        lowest = self._lowest_arrived()
        waiting = [settled.at for seq, settled in self._settled.items() if seq < lowest]
        return min(waiting) + PATIENCE_S if waiting else None

    def _lowest_arrived(self) -> float:
        return min(self._arrived, default=float("inf"))

    def _advance(self, give_up_below: int) -> list[Answer]:
        answers: list[Answer] = []
        stored = 0
        for seq in sorted(self._settled):
            if seq > give_up_below and seq != self._floor + 1:
                break
            self._floor = seq
            refusal = self._settled.pop(seq).refusal
            if refusal is None:
                stored = seq
                continue
            if stored:
                answers.append(TelemetryAck(stored))
                stored = 0
            answers.append(refusal)
        if stored:
            answers.append(TelemetryAck(stored))
        return answers
