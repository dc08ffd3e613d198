"""A new file in the place of a spool that is damaged, or under which the disk failed, with all that can be read of it.

    spool.db          the broken file, untouched until the new one is whole
    spool.db.replay   where there is one, what is read in place of the broken file; see `hiddenlog`
    spool.db.next     the new one; locked while it is made. It is whole when its number of commits is above 0
    spool.db.corrupt-1, spool.db.failed-1
                      where the broken file goes, with its log, when the new one is whole and flushed

A kill or a power cut at any instant leaves the broken file in its place, or a new one that is whole: what was
interrupted is begun anew or ended at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import attrs

from plexus.adapters.buffer.change import INSERT, Change, Tally, damaged, read_tally
from plexus.adapters.buffer.hiddenlog import replay_of
from plexus.adapters.buffer.layout import transaction
from plexus.adapters.buffer.lossbook import LossBook, enter
from plexus.adapters.buffer.records import Packer, RecordDamaged, loss_of, loss_record
from plexus.adapters.buffer.salvage import Old, Salvaged, salvage
from plexus.adapters.buffer.spoolfile import SpoolDamaged, SpoolFailed, faults, open_file, refuse_links
from plexus.adapters.privatefile import SIDE_FILES, flush_directory
from plexus.domain.loss import Loss
from plexus.ports.buffer import SPOOL_DAMAGED, SPOOL_FAULT
from plexus.protocol.batch import Batch

log = logging.getLogger("plexus")


@attrs.frozen
class Known:
    """What the spool knew of its file when it broke.

    Attributes:
        tally: what is in it.
        trying: the change whose commit failed; None when none was tried.
        released: rows that are delivered, or lost and told.
        losses: what is to be on the record beside `tally`'s, unless that change is in the file.
    """

    tally: Tally
    trying: Change | None
    released: frozenset[int]
    losses: tuple[Loss, ...]


@attrs.frozen
class Mended:
    """How it went: points that were lost, which are on the record; `made`: the change whose commit failed is there."""

    lost: int
    made: bool


def mend(path: Path, fault: SpoolDamaged | SpoolFailed, known: Known | None, packer: Packer) -> Mended:
    """Put a new file in the place of `path`.

    `known` is None when the file could not even be opened. Raises BufferFault, after which the old file is in its place
    as it was.
    """
    new = _new(path)
    finish_mending(path)
    reason = SPOOL_DAMAGED if isinstance(fault, SpoolDamaged) else SPOOL_FAULT
    connection = open_file(new)
    try:
        with faults(new), transaction(connection):
            found, mended = _fill(connection, path, known, packer, reason)
    except BaseException:
        connection.close()
        _remove(new)
        raise
    connection.close()
    with faults(path):
        aside = _swap(path, "corrupt" if reason == SPOOL_DAMAGED else "failed")
    log.warning(
        "%s; it is set aside as %s: %d points were saved, %s%d could not be read",
        fault,
        aside,
        found.saved,
        "at least " if known is None and not found.exact else "",
        mended.lost,
    )
    return mended


def finish_mending(path: Path) -> None:
    """Bring to its end what an earlier process began to mend; raises SpoolHeld while another one is at it."""
    new = _new(path)
    with faults(path):
        refuse_links(new)
    if not new.exists():
        return
    try:
        connection = open_file(new)
        try:
            with faults(new):
                is_whole = read_tally(connection).commits > 0
        finally:
            connection.close()
    except SpoolDamaged:
        is_whole = False
    with faults(path):
        # Without the old file the new one is all there is, however it is.
        if is_whole or not path.exists():
            _swap(path, "failed")
        else:
            _remove(new)


def _fill(
    connection: sqlite3.Connection, path: Path, known: Known | None, packer: Packer, reason: str
) -> tuple[Salvaged, Mended]:
    last_id = 0

    def keep(batch: Batch) -> None:
        nonlocal last_id
        last_id += 1
        connection.execute(INSERT, (last_id, *packer.pack(batch)))

    replay = replay_of(path)
    with Old(replay if replay.exists() else path) as old:
        found = salvage(old, known.released if known is not None else (), packer, keep)
        commits = old.commits() or 0
        book = _record_of(old) if known is None else {}
    # Where nobody can say how much there was, that something is missing is all that can be told.
    mended = Mended(found.lost if found.exact else max(1, found.lost), made=False)
    if known is not None:
        made = known.trying is not None and _is_made(known.trying, found.last_id, commits)
        now = known.trying.after if known.trying is not None and made else known.tally
        book = dict(now.losses)
        enter(book, () if made else known.losses)
        mended = Mended(max(now.points - found.saved, 0), made)
        commits = max(commits, now.commits)
    if mended.lost:
        enter(book, [Loss(reason, mended.lost)])
    _write(connection, book.values(), max(commits, 1))
    return found, mended


def _is_made(change: Change, last_id: int, commits: int) -> bool:
    """Whether a change whose commit failed is in the file all the same, by the file's last row and its commits."""
    return last_id == change.after.last_id if change.leaves_row else commits == change.after.commits


def _record_of(old: Old) -> LossBook:
    records, is_complete = old.losses()
    book: LossBook = {}
    for record in records:
        try:
            enter(book, [loss_of(record)])
        except RecordDamaged:
            is_complete = False
    if not is_complete:
        # That something was lost is known, and not how much.
        enter(book, [damaged(0)])
    return book


def _write(connection: sqlite3.Connection, losses: Iterable[Loss], commits: int) -> None:
    connection.executemany("INSERT INTO losses VALUES (?, ?, ?, ?, ?)", [loss_record(loss) for loss in losses])
    connection.execute("UPDATE commits SET number = ?", (commits,))


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _swap(path: Path, why: str) -> Path:
    """The broken file to the first free `…-N`, the new one in its place; raises OSError."""
    names = (path.with_name(f"{path.name}.{why}-{number}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    flush_directory(path.parent)
    for side in ("", *SIDE_FILES, ".replay"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + side).rename(aside.with_name(aside.name + side))
    # Not before all of the old is gone: a new file would take the old log for its own.
    flush_directory(path.parent)
    _new(path).rename(path)
    flush_directory(path.parent)
    return aside


def _remove(new: Path) -> None:
    with contextlib.suppress(OSError):
        for side in (*SIDE_FILES, ""):
            new.with_name(new.name + side).unlink(missing_ok=True)
