"""What outlives a gateway process: the shipped memory store and registry, and what this world saw of the commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.domain.errors import StoreError
from plexus.ports.store import Receipt, Submission
from plexus.protocol.columns import Columns
from tests.simulation.world import Broken, World


@attrs.define(eq=False)
class Vault:
    """What a gateway leaves to the next: the store, names and keys, and what this world knows of the commits.

    `stored` are values by source in the order of commit, `times` the stamps (ns) they were stored with; `losses` what
    was declared, by source and reason, `declarations` the streams of the batches that did it.
    """

    store: MemoryStore = attrs.field(factory=MemoryStore)
    registry: MemoryRegistry = attrs.field(factory=MemoryRegistry)
    keyring: MemoryKeyring = attrs.field(factory=lambda: MemoryKeyring(lambda: 0.0))
    stored: dict[int, int] = attrs.field(factory=dict)
    sources: dict[int, str] = attrs.field(factory=dict)
    times: dict[int, int] = attrs.field(factory=dict)
    tags: dict[int, Any] = attrs.field(factory=dict)
    streams: dict[str, int] = attrs.field(factory=dict)
    losses: dict[str, dict[str, int]] = attrs.field(factory=dict)
    declarations: set[str] = attrs.field(factory=set)
    verdicts: dict[str, int] = attrs.field(factory=dict)

    def keep(self, submission: Submission) -> None:
        """A submission that the store took."""
        columns = submission.columns
        for value, source, t_ns, tags in zip(columns.value, columns.source_id, columns.t_ns, columns.tags, strict=True):
            assert isinstance(value, int)
            self.stored[value] = self.stored.get(value, 0) + 1
            self.sources[value] = source
            self.times[value] = t_ns
            self.tags[value] = tags
            if submission.batch is not None:
                stream = submission.batch.stream
                if self.streams.get(stream, -1) >= value:
                    raise Broken(f"point {value} of stream {stream[:8]} was stored after {self.streams[stream]}")
                self.streams[stream] = value
        if submission.batch is not None and submission.losses:
            self.declarations.add(submission.batch.stream)
        for loss in submission.losses:
            of_source = self.losses.setdefault(submission.source_id, {})
            of_source[loss.reason] = of_source.get(loss.reason, 0) + loss.count


class SimStore:
    """The vault's store for one gateway process; `ailing` says why it takes nothing now, None when it does."""

    def __init__(self, world: World, vault: Vault, ailing: Callable[[], str | None]) -> None:
        self._world = world
        self._vault = vault
        self._ailing = ailing

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        vault, world = self._vault, self._world
        why = self._ailing()
        if why is not None:
            raise StoreError(why)
        receipts = vault.store.commit(group)
        for submission, receipt in zip(group, receipts, strict=True):
            vault.verdicts[receipt.verdict] = vault.verdicts.get(receipt.verdict, 0) + 1
            world.tell("gateway", f"commit: {receipt.verdict}", _name(submission), _values(submission.columns))
            if receipt.verdict == "store":
                vault.keep(submission)
        return receipts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault.store, name)


class SimBus(MemoryBus):
    """Publishes to nobody, and sees to it that it is after the commit."""

    def __init__(self, vault: Vault) -> None:
        super().__init__()
        self._vault = vault

    def publish(self, seq: int, stored: Sequence[tuple[str, Columns]]) -> None:
        unknown = [value for _, columns in stored for value in columns.value if value not in self._vault.stored]
        if unknown:
            raise Broken(f"published before it was committed: {unknown}")
        super().publish(seq, stored)


def _name(submission: Submission) -> str:
    batch = submission.batch
    return "unnamed" if batch is None else f"{batch.stream[:6]}/{batch.n} base {batch.base}"


def _values(columns: Columns) -> str:
    return f"{list(columns.value)}"
