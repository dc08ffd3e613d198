"""How many names there may be: a series costs memory for as long as the gateway lives, whoever invented its name.

Names are learnt from the store and the registry once an organisation shows up, and counted from there on: metrics and
events alike, and sources that were claimed or registered as those that have points, each once. A name that was let in
counts even when it was not stored after all; the next start counts anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import attrs

from plexus.ports.registry import Registry
from plexus.ports.store import Store
from plexus.protocol.columns import Columns, Decoded, PointFault

SOURCE_LIMIT = "SOURCE_LIMIT"
"""The code of an error for points that have one name too many, and for a device that would be one source too many."""


@attrs.define
class _Names:
    sources: dict[str, set[str]]
    series: int


class Quotas:
    """What each organisation has used up. On the event loop; `learn` asks store and registry in a thread."""

    def __init__(
        self, store: Store, registry: Registry, *, org_sources: int, source_metrics: int, org_series: int
    ) -> None:
        self._store = store
        self._registry = registry
        self._org_sources = org_sources
        self._source_metrics = source_metrics
        self._org_series = org_series
        self._orgs: dict[str, _Names] = {}
        self._learning: dict[str, asyncio.Task[None]] = {}

    async def learn(self, org: str) -> None:
        """See to it that the organisation's names are known. Raises StoreError."""
        if org in self._orgs:
            return
        task = self._learning.get(org)
        if task is None:
            task = self._learning[org] = asyncio.get_running_loop().create_task(self._learn(org))
        await asyncio.shield(task)

    def narrow(self, org: str, decoded: Decoded) -> Decoded:
        """The message without the points whose names are too many; they become faults."""
        columns = decoded.columns
        known = self._orgs[org].sources
        refused: dict[str, dict[str, str]] = {}
        for source_id, names in _by_source(columns):
            own = known.get(source_id)
            if own is not None and own.issuperset(names):
                continue
            told = self._refused(org, source_id, names)
            if told:
                refused[source_id] = told
        return _without(decoded, refused) if refused else decoded

    def knows(self, org: str, source_id: str) -> bool:
        """Whether the source counts already."""
        return source_id in self._orgs[org].sources

    def take(self, org: str, source_id: str) -> str | None:
        """Count a source, once; or why it cannot be had: "would be one source too many…"."""
        known = self._orgs[org].sources
        if source_id not in known:
            if len(known) >= self._org_sources:
                return f"would be one source too many: the organisation has {self._org_sources}"
            known[source_id] = set()
        return None

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now."""
        known = self._orgs.get(org)
        if known is not None and source_id in known.sources:
            known.sources.setdefault(new, set()).update(known.sources.pop(source_id))

    def remove(self, org: str, source_id: str) -> None:
        """A source is gone with all of its points."""
        known = self._orgs.get(org)
        if known is not None:
            known.series -= len(known.sources.pop(source_id, ()))

    async def _learn(self, org: str) -> None:
        try:
            sources = await asyncio.to_thread(self._names, org)
            self._orgs[org] = _Names(sources, sum(map(len, sources.values())))
        finally:
            del self._learning[org]

    def _names(self, org: str) -> dict[str, set[str]]:
        claimed = {source_id: set[str]() for source_id in self._registry.registered(org)}
        return claimed | {source_id: set(self._store.names(org, source_id)) for source_id in self._store.sources(org)}

    def _refused(self, org: str, source_id: str, names: Iterable[str]) -> dict[str, str]:
        """Why names of a source cannot be had, by name; the others are known from now on."""
        known = self._orgs[org]
        own = known.sources.get(source_id)
        new = set(names) if own is None else set(names) - own
        if (full := self.take(org, source_id)) is not None:
            return dict.fromkeys(new, f"source_id {full}")
        own = known.sources[source_id]
        room = min(self._source_metrics - len(own), self._org_series - known.series)
        # In order of their text, so that a repeat of the message has the same names let in.
        taken = sorted(new)[: max(0, room)]
        own.update(taken)
        known.series += len(taken)
        if room >= len(new):
            return {}
        if len(own) >= self._source_metrics:
            told = f"metric would be one name too many: {source_id} has {self._source_metrics}"
        else:
            told = f"metric would be one name too many: the organisation has {self._org_series} series"
        return dict.fromkeys(new.difference(taken), told)


def _by_source(columns: Columns) -> Iterable[tuple[str, Iterable[str]]]:
    """The names of each source's points, in one pass however many sources there are."""
    sources = list(columns.sources())
    if len(sources) == 1:
        return [(sources[0], columns.names(sources[0]))]
    found: dict[str, list[str]] = {}
    for source_id, name in zip(columns.source_id, columns.metric, strict=True):
        found.setdefault(source_id, []).append(name)
    return found.items()


def _without(decoded: Decoded, refused: dict[str, dict[str, str]]) -> Decoded:
    columns, kept = decoded.columns, Columns()
    faults = list(decoded.faults)
    for row, index in enumerate(decoded.indices()):
        told = refused.get(columns.source_id[row], {}).get(columns.metric[row])
        if told is None:
            kept.copy(columns, row)
        else:
            faults.append(PointFault(index, told, SOURCE_LIMIT))
    return Decoded(kept, tuple(sorted(faults, key=lambda fault: fault.index)))
