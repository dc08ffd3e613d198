"""CSV of several parts as one: the header once, then the rows as the gateway sent them, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from plexus.api.export.folder import flush
from plexus.domain.errors import ExportError

CHUNK_BYTES = 1_048_576


def assemble(parts: Sequence[Path], target: Path, told: Callable[[int, int], None]) -> int:
    """Write all parts into `target`, durably; returns the number of rows. ExportError when a part is no CSV of ours."""
    rows = 0
    head = b""
    with target.open("wb") as file:
        for number, place in enumerate(parts, 1):
            with place.open("rb") as part:
                first = part.readline()
                if not head:
                    head = first
                    file.write(head)
                if first != head or not head:
                    raise ExportError(f"{place} has other columns than the parts before it: remove {place.parent}")
                rows += _copied(part, file)
            told(number, rows)
        flush(file)
    return rows


def _copied(part: BinaryIO, file: BinaryIO) -> int:
    """Copy what is left of a part and count its rows: ends of lines outside of quotes."""
    rows, quotes = 0, 0
    while chunk := part.read(CHUNK_BYTES):
        file.write(chunk)
        pieces = chunk.split(b'"')
        # Every second piece is outside; which, is what the quotes before say.
        rows += sum(piece.count(b"\n") for piece in pieces[quotes % 2 :: 2])
        quotes += len(pieces) - 1
    return rows
