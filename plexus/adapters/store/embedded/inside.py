"""What the store is made of, as those see it who tend it, and the bounds that they go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from plexus.adapters.store.embedded.catalogue import Catalogue
from plexus.adapters.store.embedded.files import Reader
from plexus.adapters.store.embedded.files.sealedfile import SealedFile, SeriesName
from plexus.adapters.store.embedded.journal import Journal
from plexus.adapters.store.embedded.manifest import Manifest
from plexus.adapters.store.embedded.newest import STRETCH_POINTS, Newest
from plexus.adapters.store.embedded.shelf import Shelf
from plexus.adapters.store.embedded.streams import Streams
from plexus.protocol.ledger import SILENT_NS

DAY_NS = 86_400_000_000_000


@attrs.frozen
class Upkeep:
    """When something is to be done about the store.

    Attributes:
        stretch_points: points that are sealed together.
        seal_after_ns: points are sealed when they are older than this, though there are fewer.
        absorb_points: points that may wait in the queue before they are taken from it in the background.
        burst_points_s: points a second from which on sealing and merging wait, so that a burst has the machine.
        patient_points: unsealed points from which on they wait no longer.
        full_points: unsealed points from which on a commit lets sealing go before it, for `full_wait_s`.
        merge_points: no file becomes larger than this by merging.
        merge_files: small files of a day that are merged while the day is not over.
        retention_days: days (UTC) that are kept, today's not counted; None for all.
        retention_bytes: bytes of history that are kept; None for any.
        retry_ns: how long nothing is tried again after it failed.
        stream_ns: streams that are silent for so long are let go of; see `plexus.protocol.ledger`.
        check_ns: how often age and size are looked at.
    """

    stretch_points: int = STRETCH_POINTS
    seal_after_ns: int = 600 * 10**9
    absorb_points: int = 50_000
    burst_points_s: int = 200_000
    patient_points: int = 3_000_000
    full_points: int = 8_000_000
    full_wait_s: float = 0.04
    merge_points: int = 10_000_000
    merge_files: int = 8
    retention_days: int | None = None
    retention_bytes: int | None = None
    retry_ns: int = 10 * 10**9
    stream_ns: int = SILENT_NS
    check_ns: int = 600 * 10**9


@attrs.frozen
class Inside:
    """The parts. `reached` is called with the name of each step that is done: what a test stops or kills there."""

    folder: Path
    journal: Journal
    manifest: Manifest
    newest: Newest
    streams: Streams
    shelf: Shelf
    reader: Reader
    upkeep: Upkeep
    reached: Callable[[str], None]


class Names(Mapping[int, SeriesName]):
    """What series are called now, for the columns of a file that a person reads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __getitem__(self, series: int) -> SeriesName:
        known = self._catalogue.known(series)
        return SeriesName(known.org, known.source_id, known.metric)

    def __iter__(self) -> Iterator[int]:
        return iter(self._catalogue.ids())

    def __len__(self) -> int:
        return len(self._catalogue.ids())


def total(files: tuple[SealedFile, ...] | list[SealedFile]) -> int:
    """Points in these files."""
    return sum(file.points for file in files)
