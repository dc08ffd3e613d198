"""The store port on the journal, the history, the catalogue and the hot tables; see the package for what holds."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from plexus.adapters.store.embedded import opening, queries, record, removal, replaying, snapshot
from plexus.adapters.store.embedded.catalogue import Catalogue, Picked
from plexus.adapters.store.embedded.files.sealedfile import SealedFile
from plexus.adapters.store.embedded.hot import HotTables
from plexus.adapters.store.embedded.housekeeping import Housekeeping
from plexus.adapters.store.embedded.inside import Inside, Upkeep
from plexus.adapters.store.embedded.journal import Journal, checked
from plexus.adapters.store.embedded.manifest import Manifest
from plexus.adapters.store.embedded.newest import Newest
from plexus.adapters.store.embedded.sealing import unlink
from plexus.adapters.store.embedded.shelf import Shelf
from plexus.adapters.store.embedded.streams import Key, Streams
from plexus.adapters.store.embedded.tolerant import TolerantReader
from plexus.domain.errors import StoreError
from plexus.domain.event import Event
from plexus.domain.loss import Loss
from plexus.domain.series import BucketSeries
from plexus.domain.values import Value
from plexus.ports.store import (
    Head,
    Question,
    RawSeries,
    Receipt,
    Replayed,
    Selection,
    StreamInfo,
    Submission,
    Window,
)
from plexus.protocol.columns import Columns
from plexus.protocol.ledger import Draft, refusal_of_silent

_log = logging.getLogger(__name__)


def _nothing(_step: str) -> None:
    """Nobody watches."""


class EmbeddedStore:
    """Keeps points in `data_dir`, which is made when it is not there.

    `upkeep` says when points are sealed, files are merged, and what is let go of. `reached` is called with the name of
    each step of it that is done.

    Raises StoreError when another gateway holds the directory, when a newer version wrote it, and when the disk fails.
    A journal row or a file that cannot be read does not stop it: `damage` has a sentence for each, and so has the log.
    """

    def __init__(
        self, data_dir: Path, *, upkeep: Upkeep | None = None, reached: Callable[[str], None] = _nothing
    ) -> None:
        self._journal = Journal(Path(data_dir))
        try:
            self._open(Path(data_dir) / opening.FOLDER, upkeep or Upkeep(), reached)
        except BaseException:
            self._journal.close()
            raise

    def _open(self, folder: Path, upkeep: Upkeep, reached: Callable[[str], None]) -> None:
        journal, manifest = self._journal, Manifest(self._journal)
        files, renames = manifest.files(), manifest.renames()
        opening.unlink_orphans(folder, files)
        usable, damage = opening.usable(folder, files)
        self._shelf = Shelf(usable, self._dispose)
        self._reader = TolerantReader(folder, self._found_damaged)
        self._newest = Newest(
            opening.known(manifest),
            HotTables(),
            self._shelf,
            cut=journal.cut,
            renames=renames,
            stretch_points=upkeep.stretch_points,
        )
        self._streams = Streams(journal)
        damage += opening.replay(journal, self._newest, self._streams, renames)
        self.damage = tuple(damage)
        for sentence in damage:
            _log.error("%s", sentence)
        self._inside = Inside(
            folder, journal, manifest, self._newest, self._streams, self._shelf, self._reader, upkeep, reached
        )
        self._housekeeping = Housekeeping(self._inside)

    def commit(self, group: Sequence[Submission]) -> list[Receipt]:
        """Store a group in one transaction, durable on return."""
        self._housekeeping.make_way()
        with self._journal.writing:
            self._journal.check()
            drafts: dict[Key, Draft] = {}
            seen_ns: dict[Key, int] = {}
            receipts = [self._judge(submission, drafts, seen_ns) for submission in group]
            stored = [item for item, receipt in zip(group, receipts, strict=True) if receipt.verdict == "store"]
            moved = {key: draft for key, draft in drafts.items() if draft.moved}
            blocks = record.gather(stored)
            if blocks or moved:
                steps = [
                    record.Step(*key, draft.state.source_id, draft.watermark, draft.prints, seen_ns[key])
                    for key, draft in moved.items()
                ]
                row = record.Record(blocks, steps, record.declared(stored))
                body = record.pack(row)
                leaving = self._streams.leaving(moved)
                seq = self._journal.append(body, row.points, leaving)
                self._streams.settle(seq, moved, seen_ns, leaving)
                self._newest.add(seq, row, body)
            return receipts

    # --- questions -----------------------------------------------------------------------------------------------

    def sources(self, org: str) -> Mapping[str, int]:
        """Every source that has points."""
        with self._newest.catalogue() as catalogue:
            return catalogue.sources(org)

    def names(self, org: str, source_id: str) -> list[str]:
        """Names of the source's metrics, sorted."""
        with self._newest.catalogue() as catalogue:
            return catalogue.names(org, source_id)

    def latest(self, org: str, source_id: str) -> Mapping[str, tuple[int, Value]]:
        """The newest value of each metric."""
        with self._newest.catalogue() as catalogue:
            return catalogue.latest(org, source_id)

    def raw(
        self,
        org: str,
        source_id: str,
        metrics: Sequence[str] | None,
        window: Window,
        limit: int,
        *,
        question: Question | None = None,
    ) -> RawSeries:
        """Raw values of the named metrics of one source."""
        with self._asked(lambda catalogue: catalogue.pick(org, [source_id], metrics)) as (cut, picked):
            return queries.raw(self._reader, cut, picked, window, limit, question)

    def buckets(
        self,
        org: str,
        source_ids: Sequence[str] | None,
        metrics: Sequence[str] | None,
        window: Window,
        bucket_ms: int,
        *,
        question: Question | None = None,
    ) -> Mapping[str, Mapping[str, BucketSeries]]:
        """Aggregates by source and metric."""
        with self._asked(lambda catalogue: catalogue.pick(org, source_ids, metrics)) as (cut, picked):
            return queries.buckets(self._reader, cut, picked, window, bucket_ms, question)

    def events(
        self,
        org: str,
        source_id: str,
        window: Window,
        name: str | None,
        limit: int,
        *,
        newest: bool,
        question: Question | None = None,
    ) -> list[Event]:
        """Events of one source, ascending in time."""
        with self._asked(lambda catalogue: catalogue.pick_events(org, source_id, name)) as (cut, picked):
            return queries.events(self._reader, cut, picked, window, limit, newest=newest, question=question)

    def scan(self, org: str, selection: Selection, *, question: Question | None = None) -> Iterator[Columns]:
        """Points of the selection in parts, on the cut of the moment when the first one is taken."""
        with self._asked(lambda catalogue: catalogue.pick(org, selection.source_ids, selection.metrics)) as (
            cut,
            picked,
        ):
            yield from queries.scan(self._reader, cut, picked, selection.window, question)

    def count(self, org: str, selection: Selection, *, question: Question | None = None) -> int:
        """How many points `scan` would give."""
        with self._asked(lambda catalogue: catalogue.pick(org, selection.source_ids, selection.metrics)) as (
            cut,
            picked,
        ):
            return queries.count(self._reader, cut, picked, selection.window, question)

    def losses(self, org: str, source_id: str) -> Sequence[Loss]:
        """What the source's devices declared to have dropped."""
        with self._newest.catalogue() as catalogue:
            return catalogue.losses(org, source_id)

    def streams(self, org: str, source_id: str) -> Sequence[StreamInfo]:
        """The streams that began with this source, the one heard of last first."""
        return self._streams.of_source(org, source_id)

    def head(self) -> Head:
        """Where the order of commits is, which is known in memory: nobody waits for it."""
        return Head(*self._journal.end())

    def replay(self, org: str, source_id: str, first: int, max_points: int) -> Replayed | None:
        """The source's points in the order of commit, for as long as the journal keeps its rows.

        A commit waits for the reading of one row at most: rows are checked and unpacked outside of the lock.
        """
        last = self._journal.last
        # After it: who is renamed in between has the new name in all of these rows.
        renames = self._inside.manifest.renames()
        if replaying.was_left(renames, org, source_id, first):
            return None

        def read(seq: int) -> record.Record | None:
            with self._journal.writing:
                kept = self._journal.kept(seq)
            return replaying.found(checked(kept), renames)

        return replaying.replay(read, last, org, source_id, first, max_points)

    # --- upkeep --------------------------------------------------------------------------------------------------

    def maintain(self, now_ns: int) -> bool:
        """Do one step of the housekeeping; whether there is more to do."""
        return self._housekeeping.maintain(now_ns)

    def remove(self, org: str, selection: Selection) -> int:
        """Remove points for ever; questions that begin when it is done do not see them."""
        with self._housekeeping.alone():
            self._housekeeping.finished()
            self._housekeeping.seal_all()
            return removal.remove(self._inside, org, selection)

    def rename(self, org: str, source_id: str, new: str) -> None:
        """Give a source another name: rows that are not sealed are read with it from now on."""
        with self._housekeeping.alone():
            self._housekeeping.finished()
            with self._newest.catalogue():
                pass  # what waits is taken before commits have to wait, so that they do not wait long
            with self._newest.still(), self._journal.writing, self._newest.catalogue() as catalogue:
                self._journal.check()
                if new in catalogue.sources(org):
                    raise StoreError(f"source {new!r} has points already; choose another name, or remove them first")
                if new == source_id:
                    return
                renamed = self._inside.manifest.rename(org, source_id, new)
                self._inside.reached("rename.written")
                self._streams.rename(org, source_id, new)
                self._newest.rename(renamed)

    def snapshot(self, folder: Path) -> None:
        """Copy everything into an empty folder, while commits go on."""
        with self._housekeeping.alone():
            self._housekeeping.finished()
            snapshot.snapshot(self._inside, Path(folder))

    def close(self) -> None:
        """Let go of the directory; what is stored is stored."""
        self._housekeeping.close()
        self._newest.close()
        self._reader.close()
        with self._journal.writing:
            self._journal.close()

    # --- inside --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _asked(self, pick: Callable[[Catalogue], Picked]) -> Iterator[tuple[queries.Cut, Picked]]:
        """A cut, and the series that a question is about, at one moment."""
        with contextlib.ExitStack() as stack:
            with self._newest.fed() as catalogue:
                picked = pick(catalogue)
                cut = stack.enter_context(self._newest.cut())
            yield cut, picked

    def _judge(self, submission: Submission, drafts: dict[Key, Draft], seen_ns: dict[Key, int]) -> Receipt:
        seq = self._journal.last + 1
        if submission.batch is None:
            return Receipt("store", len(submission.columns), seq=seq)
        key = (submission.org, submission.batch.stream)
        if key not in drafts:
            drafts[key] = self._streams.draft(*key, submission.source_id)
        seen_ns[key] = submission.arrival_ns
        verdict = drafts[key].judge(submission.batch, submission.source_id)
        if drafts[key].state.was_let_go:
            _log.warning("%s", refusal_of_silent(submission.org, submission.source_id, submission.batch))
        stored = len(submission.columns) if verdict == "store" else 0
        return Receipt(verdict, stored, drafts[key].watermark, seq)

    def _dispose(self, files: Sequence[SealedFile]) -> None:
        """Nobody looks at these any more."""
        self._reader.forget(file.name for file in files)
        unlink(self._inside, files)

    def _found_damaged(self, file: SealedFile, fault: str) -> None:
        """A question met a file that cannot be read: from now on nobody asks it, and all others are answered from."""
        if self._shelf.withdraw(file):
            sentence = opening.unavailable(file, fault)
            self.damage += (sentence,)
            _log.error("%s", sentence)
