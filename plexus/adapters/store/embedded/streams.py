"""The streams: watermarks and digests of those in use in memory, of the others in the journal's table.

A batch costs its stream nothing but 16 bytes in the group's own record. The table is written when a stream leaves
memory, which the longest unused one does when there are too many, in the transaction of the group that is committed
then; and before rows are sealed that say more of it than the table does. At start the records are applied to what the
table holds, each to streams that have not seen it yet. A stream that is let go of is in the table alone, where its row
says so for ever.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from plexus.adapters.store.embedded.journal import Journal, StreamRow
from plexus.adapters.store.embedded.record import Step
from plexus.ports.store import StreamInfo
from plexus.protocol.ledger import Draft, StreamState, is_silent

MAX_IN_MEMORY = 10_000
"""Each takes up to 16 KiB, once it has carried 1,024 batches."""

KEPT_AT_ONCE = 64
"""Streams that one transaction writes ahead of sealing: up to 1 MiB."""

LET_GO_AT_ONCE = 500

LISTED_AT_ONCE = 500
"""Streams that are read from the table while commits wait: a millisecond."""

Key = tuple[str, str]
"""(org, stream)."""


@attrs.define
class _Held:
    state: StreamState
    seen_ns: int
    seq: int


class Streams:
    """Used under the journal's `writing`, which those that say so take by themselves."""

    def __init__(self, journal: Journal, max_in_memory: int = MAX_IN_MEMORY) -> None:
        self._journal = journal
        self._max = max_in_memory
        self._held: OrderedDict[Key, _Held] = OrderedDict()
        # The first row that says more of a stream than the table does, ascending.
        self._unkept: dict[Key, int] = {}

    def draft(self, org: str, stream: str, source_id: str) -> Draft:
        """A draft of this stream; a stream that is not known begins with this source. Nothing is held yet."""
        held = self._find((org, stream))
        return Draft(held.state if held else StreamState(source_id))

    def leaving(self, coming: Iterable[Key]) -> list[StreamRow]:
        """What has to be written with the group that these streams come with, so that not too many stay."""
        used = set(coming)
        excess = len(self._held) + sum(key not in self._held for key in used) - self._max
        unused = (key for key in self._held if key not in used)
        return [self._row(key) for key, _ in zip(unused, range(excess), strict=False)]

    def settle(
        self, seq: int, drafts: Mapping[Key, Draft], seen_ns: Mapping[Key, int], left: Iterable[StreamRow]
    ) -> None:
        """Row `seq` is committed: move its streams, and forget those that were written with it."""
        for key, draft in drafts.items():
            self._hold(key, _Held(draft.settle(), seen_ns[key], seq))
            self._unkept.setdefault(key, seq)
        self._forget(left)

    def replay(self, seq: int, steps: Iterable[Step]) -> None:
        """Apply a record of the journal at start."""
        for step in steps:
            key = (step.org, step.stream)
            held = self._find(key) or _Held(StreamState(step.source_id), 0, 0)
            if seq > held.seq:
                held.state.advance(step.watermark, step.prints)
                self._hold(key, _Held(held.state, step.seen_ns, seq))
                self._unkept.setdefault(key, seq)
        if left := self.leaving(()):
            self._journal.keep(left)
            self._forget(left)

    def keep_some(self, upto: int) -> bool:
        """Write streams of which rows up to `upto` say more than the table does, in one short transaction.

        Returns whether there were any. Takes `writing`.
        """
        with self._journal.writing:
            due = [key for key, _ in zip(self._due(upto), range(KEPT_AT_ONCE), strict=False)]
            if not due:
                return False
            self._journal.keep([self._row(key) for key in due])
            for key in due:
                del self._unkept[key]
            return True

    def of_source(self, org: str, source_id: str) -> list[StreamInfo]:
        """The streams that began with this source, the one heard of last first.

        Takes `writing` for a copy of what is in memory and for each lot from the table, and looks at them outside: a
        commit waits for a millisecond at most, however many there are.
        """
        with self._journal.writing:
            in_memory = list(self._held.items())
        # First those in memory: one that leaves it now is in the table when that is read, and so none is missed.
        found = {
            stream: StreamInfo(stream, held.state.watermark, held.seen_ns)
            for (own, stream), held in in_memory
            if own == org and held.state.source_id == source_id
        }
        for info in self._in_table(org, source_id):
            known = found.get(info.stream)
            if known is None or known.watermark < info.watermark:
                found[info.stream] = info
        return sorted(found.values(), key=lambda info: (-info.seen_ns, info.stream))

    def let_go(self, before_ns: int) -> int:
        """Let go of some of the streams that nobody heard of since then; how many. Takes `writing`."""
        with self._journal.writing:
            silent = [key for key, one in self._held.items() if is_silent(one.seen_ns, before_ns)]
            for key in silent:
                if key not in self._unkept:
                    del self._held[key]
            return self._journal.let_go_of_streams(before_ns, LET_GO_AT_ONCE, self._held.keys())

    def rename(self, org: str, source_id: str, new: str) -> None:
        """The source that streams began with has another name; the table is the caller's."""
        for (own, _stream), held in self._held.items():
            if own == org and held.state.source_id == source_id:
                held.state.source_id = new

    def _in_table(self, org: str, source_id: str) -> Iterator[StreamInfo]:
        after: int | None = 0
        while after is not None:
            with self._journal.writing:
                lot, after = self._journal.streams_of(org, source_id, after, LISTED_AT_ONCE)
            yield from lot

    def _due(self, upto: int) -> Iterator[Key]:
        return (key for key, _first in itertools.takewhile(lambda item: item[1] <= upto, self._unkept.items()))

    def _find(self, key: Key) -> _Held | None:
        if (held := self._held.get(key)) is not None:
            return held
        row = self._journal.stream(*key)
        if row is None:
            return None
        return _Held(StreamState(row.source_id, row.watermark, bytearray(row.prints)), row.seen_ns, row.seq)

    def _hold(self, key: Key, held: _Held) -> None:
        self._held[key] = held
        self._held.move_to_end(key)

    def _forget(self, left: Iterable[StreamRow]) -> None:
        for row in left:
            del self._held[row.org, row.stream]
            self._unkept.pop((row.org, row.stream), None)

    def _row(self, key: Key) -> StreamRow:
        held = self._held[key]
        state = held.state
        return StreamRow(*key, state.source_id, state.watermark, held.seen_ns, held.seq, bytes(state.prints))
