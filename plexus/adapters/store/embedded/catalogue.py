"""What is known without a look at the points: series and their ids, the latest value of each, when sources sent.

A series is (org, source, metric), and an id of its own stands for it in the hot table. Metrics and events of the same
name are two series.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import getitem
from typing import Any

import attrs

from plexus.adapters.store.embedded.record import Block, Lost, spread, tags_of
from plexus.domain.loss import Loss, merged
from plexus.domain.values import Value


class _Names(dict[str, int]):
    """Ids of one source's series by name. A name that is not there gets the next id: `map` does that at C speed."""

    def __init__(self, next_id: Callable[[], int]) -> None:
        super().__init__()
        self._next_id = next_id

    def __missing__(self, name: str) -> int:
        made = self[name] = self._next_id()
        return made


class _Sources(dict[str, _Names]):
    """Names by source."""

    def __init__(self, next_id: Callable[[], int]) -> None:
        super().__init__()
        self._next_id = next_id

    def __missing__(self, source_id: str) -> _Names:
        made = self[source_id] = _Names(self._next_id)
        return made


@attrs.define
class _Organisation:
    metrics: _Sources
    events: _Sources
    seen_ns: dict[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Part:
    """Points of a block under their series' ids: metrics, or events, which have tags."""

    series: list[int]
    t_ns: list[int]
    value: list[Any]
    tags: Sequence[Mapping[str, str] | None] = ()


Picked = dict[int, tuple[str, str]]
"""Series that a question is about: (source, metric) by id."""


class Catalogue:
    """Used under its owner's lock."""

    def __init__(self) -> None:
        self._next_id = itertools.count(1).__next__
        self._orgs: dict[str, _Organisation] = {}
        self._latest: dict[int, tuple[int, Value]] = {}
        self._losses: dict[tuple[str, str], dict[str, Loss]] = {}

    def absorb(self, block: Block) -> tuple[Part, Part]:
        """Take note of a block; returns its metrics and its events."""
        org = self._orgs.get(block.org)
        if org is None:
            org = self._orgs[block.org] = _Organisation(_Sources(self._next_id), _Sources(self._next_id))
        org.seen_ns.update(block.seen_ns)
        if True not in block.is_event:
            metrics = Part(_ids(org.metrics, block.source_id, block.metric), block.t_ns, block.value)
            events = Part([], [], [])
        else:
            metrics, events = _split(org, block)
        self._note_latest(metrics)
        return metrics, events

    def note_loss(self, lost: Lost) -> None:
        """A device declared a loss."""
        record = self._losses.setdefault((lost.org, lost.source_id), {})
        merged(record, [Loss(lost.reason, lost.count, lost.first_ms, lost.last_ms)])

    def losses(self, org: str, source_id: str) -> list[Loss]:
        """What was declared of a source, sorted by reason."""
        return [loss for _reason, loss in sorted(self._losses.get((org, source_id), {}).items())]

    def sources(self, org: str) -> dict[str, int]:
        """When each source was heard, ns."""
        known = self._orgs.get(org)
        return dict(known.seen_ns) if known else {}

    def names(self, org: str, source_id: str) -> list[str]:
        """Names of a source's metrics, sorted."""
        return sorted(self._metrics(org).get(source_id, ()))

    def latest(self, org: str, source_id: str) -> dict[str, tuple[int, Value]]:
        """The newest value of each of a source's metrics."""
        return {name: self._latest[series] for name, series in self._metrics(org).get(source_id, {}).items()}

    def pick(self, org: str, source_ids: Iterable[str] | None, metrics: Iterable[str] | None) -> Picked:
        """The series of these sources and metrics, all of them for None."""
        known = self._metrics(org)
        wanted = None if metrics is None else frozenset(metrics)
        return {
            series: (source_id, name)
            for source_id in (known if source_ids is None else frozenset(source_ids) & known.keys())
            for name, series in known[source_id].items()
            if wanted is None or name in wanted
        }

    def pick_events(self, org: str, source_id: str, name: str | None) -> Picked:
        """The series of a source's events."""
        known = self._orgs.get(org)
        names: Mapping[str, int] = known.events.get(source_id, {}) if known else {}
        return {series: (source_id, own) for own, series in names.items() if name in (None, own)}

    def _metrics(self, org: str) -> Mapping[str, Mapping[str, int]]:
        known = self._orgs.get(org)
        return known.metrics if known else {}

    def _note_latest(self, part: Part) -> None:
        latest = self._latest
        for series, newest in _newest(part).items():
            if series not in latest or newest[0] >= latest[series][0]:
                latest[series] = newest


def _ids(sources: _Sources, source_id: list[str] | str, metric: Iterable[str]) -> list[int]:
    names = itertools.repeat(sources[source_id]) if isinstance(source_id, str) else map(sources.__getitem__, source_id)
    return list(map(getitem, names, metric))


def _split(org: _Organisation, block: Block) -> tuple[Part, Part]:
    """The metrics and the events of a block that has both."""
    sources = spread(block.source_id, len(block.metric))
    is_metric = [not flag for flag in block.is_event]

    def chosen(table: _Sources, flags: list[bool]) -> tuple[list[int], list[int], list[Any]]:
        def column(whole: list[Any]) -> list[Any]:
            return list(itertools.compress(whole, flags))

        return _ids(table, column(sources), column(block.metric)), column(block.t_ns), column(block.value)

    tags = list(itertools.compress(tags_of(block), block.is_event))
    return Part(*chosen(org.metrics, is_metric)), Part(*chosen(org.events, block.is_event), tags)


def _newest(part: Part) -> dict[int, tuple[int, Value]]:
    """The value with the highest time of each series; of equal times the one that was committed last."""
    series, t_ns, value = part.series, part.t_ns, part.value
    places: Sequence[int] = range(len(series))
    if t_ns != sorted(t_ns):
        places = sorted(places, key=t_ns.__getitem__)
    missing = set(series)
    newest = {}
    # Backwards, until each series was met: a handful of steps for a block in which all of them take turns.
    for i in reversed(places):
        if series[i] in missing:
            missing.remove(series[i])
            newest[series[i]] = (t_ns[i], value[i])
            if not missing:
                break
    return newest
