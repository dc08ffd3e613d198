"""What the fleet page shows, kept small: the newest value and the last minutes of each metric. No I/O, no clock."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from plexus import LivePoint, Source

SLOT_MS, SLOTS = 5_000, 60
"""A curve is five minutes: one number for each five seconds, the last that came in them, as fine as it can be seen."""

METRICS_SHOWN, TEXT_CHARS = 24, 80
"""More metrics are left out, longer texts cut: what a device sends must fill neither this server nor the page."""


@dataclass(eq=False)
class Metric:
    """The newest value of a metric as text, and its curve: numbers by slot of time."""

    text: str | None = None
    at_ms: float = -math.inf
    slots: dict[int, float] = field(default_factory=dict)
    version: int = 0

    def take(self, value: object, at_ms: float) -> None:
        """One reading; one that comes late is in the curve, and not the newest."""
        if at_ms >= self.at_ms:
            self.text, self.at_ms = shown(value), at_ms
        if is_number(value) and math.isfinite(value):
            self.slots[int(at_ms // SLOT_MS)] = float(f"{value:.6g}")
            if len(self.slots) > SLOTS:
                oldest = max(self.slots) - SLOTS
                self.slots = {slot: number for slot, number in self.slots.items() if slot > oldest}

    def curve(self) -> list[float | None]:
        """The numbers of the last five minutes before the newest; a hole is None."""
        if not self.slots:
            return []
        last = max(self.slots)
        first = min(slot for slot in self.slots if slot > last - SLOTS)
        return [self.slots.get(slot) for slot in range(first, last + 1)]


@dataclass(eq=False)
class Card:
    """One source. `is_known`: it was asked what it measured before. `is_cut`: it has more metrics than are shown."""

    source: Source
    is_known: bool = False
    metrics: dict[str, Metric] = field(default_factory=dict)
    is_cut: bool = False
    version: int = 0

    def metric(self, name: str) -> Metric | None:
        """The metric, made when it is new; None when there are too many to show."""
        if name in self.metrics or len(self.metrics) < METRICS_SHOWN:
            return self.metrics.setdefault(name, Metric())
        self.is_cut = True
        return None

    def picture(self, since: int) -> dict[str, Any]:
        """As the page takes it, with the metrics that are newer than `since`."""
        newer = {name: metric for name, metric in self.metrics.items() if metric.version > since}
        return {
            "online": self.source.online,
            "last_seen_ms": self.source.last_seen_ms,
            "metrics": {name: {"value": metric.text, "curve": metric.curve()} for name, metric in newer.items()},
            "cut": self.is_cut,
        }


class Board:
    """All sources. Every change has a number, so that each browser is told what is newer than what it has.

    There is no queue a browser: a slow one gets fewer pictures, each of them the newest.
    """

    def __init__(self) -> None:
        self._cards: dict[str, Card] = {}
        self._version = 1
        self._removed_at = 0
        self._is_stale = False

    def list(self, sources: Sequence[Source]) -> list[str]:
        """These are the sources now. Gives those of which `know` is still to be told."""
        now = {source.source_id: source for source in sources}
        for source_id in self._cards.keys() - now.keys():
            del self._cards[source_id]
            self._removed_at = self._next()
        for source in sources:
            card = self._card(source.source_id)
            if card.source != source:
                card.source, card.version = source, self._next()
        return [source_id for source_id in now if not self._cards[source_id].is_known]

    def know(self, source_id: str, latest: Mapping[str, object]) -> None:
        """What a source measured last, however long ago; what was streamed meanwhile is newer."""
        card = self._card(source_id)
        card.is_known = True
        for name, value in latest.items():
            metric = card.metric(name)
            if metric is not None and metric.text is None:
                metric.text = shown(value)
                metric.version = self._next()
        card.version = self._next()

    def take(self, point: LivePoint) -> None:
        """A reading of the live stream; its source need not be listed yet."""
        card = self._card(point.source_id)
        metric = card.metric(point.metric)
        card.version = self._next()
        if metric is not None:
            metric.take(point.value, point.timestamp_ms)
            metric.version = card.version

    def mark(self, *, is_stale: bool) -> None:
        """Whether the gateway has stopped answering, so that the page says so."""
        if is_stale != self._is_stale:
            self._is_stale = is_stale
            self._next()

    def picture(self, since: int) -> dict[str, Any] | None:
        """What is newer than the change `since` (0: all); None when nothing is. `whole`: what is not in it is gone."""
        if since >= self._version:
            return None
        whole = not since or since < self._removed_at
        start = 0 if whole else since
        newer = {name: card.picture(start) for name, card in sorted(self._cards.items()) if card.version > start}
        return {"version": self._version, "whole": whole, "stale": self._is_stale, "sources": newer}

    def _card(self, source_id: str) -> Card:
        card = self._cards.get(source_id)
        if card is None:
            card = self._cards[source_id] = Card(Source(source_id, online=True, last_seen_ms=None))
            card.version = self._next()
        return card

    def _next(self) -> int:
        self._version += 1
        return self._version


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: object) -> str:
    """A value as text, for NaN and infinities have no place in JSON, and large integers none in a browser."""
    if is_number(value):
        return f"{value:,.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
