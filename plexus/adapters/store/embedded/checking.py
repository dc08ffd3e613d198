"""What is wrong with a store that no gateway has open: its journal row by row, its history page by page.

Nothing is mended. The journal is locked meanwhile, so that no gateway starts on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from plexus.adapters.sqlitefile import damage
from plexus.adapters.store.embedded import files, record
from plexus.adapters.store.embedded.catalogue import SeriesRow
from plexus.adapters.store.embedded.files import SealedFile
from plexus.adapters.store.embedded.journal import NAME, Journal
from plexus.adapters.store.embedded.manifest import Manifest
from plexus.adapters.store.embedded.opening import FOLDER
from plexus.domain.errors import StoreError
from plexus.protocol.ledger import DIGESTS_KEPT, PRINT_BYTES


def check(data_dir: Path) -> list[str]:
    """A sentence for each thing that is wrong.

    Raises StoreError when a gateway has the directory open, or the journal cannot be read at all.
    """
    journal = Journal(data_dir)
    try:
        found = [*_rows(journal), *_streams(journal), *_history(journal, data_dir / FOLDER)]
    finally:
        journal.close()
    return [*found, *(f"{data_dir / NAME}: {problem}" for problem in damage(data_dir / NAME))]


def _rows(journal: Journal) -> Iterator[str]:
    for row in journal.rows():
        if fault := row.fault or _fault(row.body):
            yield journal.damaged(row.seq, fault)


def _fault(body: bytes) -> str:
    try:
        record.unpack(body)
    except record.DamagedRecord as exc:
        return str(exc)
    return ""


def _streams(journal: Journal) -> Iterator[str]:
    for org, stream, watermark, seq, length in journal.ask(
        "SELECT org, stream, watermark, seq, length(prints) FROM streams"
    ):
        kept, odd = divmod(length, PRINT_BYTES)
        if odd or kept > min(watermark, DIGESTS_KEPT) or seq > journal.last:
            yield f"{NAME}: stream {stream} of {org} is not as it was written: its repeats may be stored again"


def _history(journal: Journal, folder: Path) -> Iterator[str]:
    manifest = Manifest(journal)
    try:
        known = {row.series: row for row in manifest.series()}
        for file in manifest.files():
            problem = files.check(folder, file) or _strangers(folder, file, known)
            if problem:
                yield problem
            if file.last_seq > journal.cut:
                yield f"{file.path(folder)}: it holds points of rows that are not sealed: they would be seen twice"
    except StoreError as exc:
        yield str(exc)


def _strangers(folder: Path, file: SealedFile, known: Mapping[int, SeriesRow]) -> str:
    """What a file has that the tables say nothing of, or something else."""
    path = file.path(folder)
    own = files.series_of(folder, file)
    if strange := own - known.keys():
        return f"{path}: nobody knows whose its series {min(strange)} is; {len(strange)} in all"
    lowest, highest = min(known[series].first_ns for series in own), max(known[series].last_ns for series in own)
    return (
        "" if lowest <= file.first_ns and file.last_ns <= highest else f"{path}: its times are not those of its series"
    )
