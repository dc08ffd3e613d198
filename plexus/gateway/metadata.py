"""What is known of metrics beside their values, in memory: the streams ask for every point.

All of it is read from the registry when the gateway starts, and follows each change from there on: no other process
changes it, since a data directory has one gateway.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from plexus.domain.metricinfo import MetricInfo
from plexus.domain.values import Value
from plexus.ports.registry import Place, Registry


class Metadata:
    """Units, descriptions and ranges of every source's metrics. Any threads may use it; changes may block.

    Raises StoreError when the registry cannot be read or written.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changing = threading.Lock()
        self._infos: dict[Place, dict[str, MetricInfo]] = {
            place: {info.name: info for info in infos} for place, infos in registry.metric_infos().items()
        }

    def alert(self, org: str, source_id: str, metric: str, value: Value) -> int:
        """1 when the value is a number outside of its metric's range; 0 when it is inside, or no range is known."""
        infos = self._infos.get((org, source_id))
        info = None if infos is None else infos.get(metric)
        return 0 if info is None else int(info.is_outside(value))

    def of(self, org: str, source_id: str) -> Sequence[MetricInfo]:
        """What is known of a source's metrics, in no order."""
        return list(self._infos.get((org, source_id), {}).values())

    def put(self, org: str, source_id: str, info: MetricInfo) -> None:
        """Keep what is known of a metric, durably."""
        with self._changing:
            self._registry.put_metric(org, source_id, info)
            # A new mapping: another thread may be looking at the old one.
            self._infos[org, source_id] = {**self._infos.get((org, source_id), {}), info.name: info}

    def remove(self, org: str, source_id: str, name: str) -> bool:
        """Let go of it, durably; False when nothing was known."""
        with self._changing:
            found = self._registry.remove_metric(org, source_id, name)
            infos = self._infos.get((org, source_id), {})
            self._infos[org, source_id] = {other: info for other, info in infos.items() if other != name}
        return found

    def moved(self, org: str, source_id: str, new: str | None) -> None:
        """The registry has the source under another name now, or not at all (None)."""
        with self._changing:
            infos = self._infos.pop((org, source_id), None)
            if new is not None and infos is not None:
                self._infos[org, new] = infos
