"""Parquet of several parts as one file, a row group at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from plexus.api.export.folder import flush
from plexus.domain.errors import ConfigurationError, ExportError

GROUP_ROWS = 100_000
"""Rows of a row group, and about what is in memory at once."""


def library() -> Any:
    """pyarrow's part for Parquet; ConfigurationError where it is not installed."""
    try:
        from pyarrow import parquet
    except ImportError as exc:
        raise ConfigurationError(
            "an export as Parquet or MCAP needs pyarrow: pip install 'plexus-python[tables]' ([mcap] for MCAP), or "
            "export as CSV"
        ) from exc
    return parquet


def assemble(parts: Sequence[Path], target: Path, told: Callable[[int, int], None]) -> int:
    """Write all parts into `target`, durably; returns the number of rows. ExportError when a part is not readable."""
    parquet = library()
    schema = opened(parts[0]).schema_arrow
    rows = 0
    with target.open("wb") as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for number, table in _groups(parts, schema):
                writer.write_table(table)
                rows += table.num_rows
                told(number, rows)
        flush(file)
    return rows


def opened(place: Path) -> Any:
    """A part as pyarrow's ParquetFile; ExportError when it is none."""
    import pyarrow as pa

    try:
        return library().ParquetFile(place)
    except pa.ArrowException as exc:
        raise ExportError(
            f"{place} is no Parquet file ({str(exc)[:200]}): the server's answer was no export; check the address, "
            f"then remove {place.parent} and export again"
        ) from exc


def _groups(parts: Sequence[Path], schema: Any) -> Iterator[tuple[int, Any]]:
    """The row groups of all parts, small ones put together, each with the number of parts that are in it or before."""
    import pyarrow as pa

    waiting: list[Any] = []
    for number, place in enumerate(parts, 1):
        with opened(place) as part:
            for group in range(part.num_row_groups):
                waiting.append(part.read_row_group(group).cast(schema))
                if sum(table.num_rows for table in waiting) >= GROUP_ROWS:
                    yield number, pa.concat_tables(waiting)
                    waiting = []
    if waiting:
        yield len(parts), pa.concat_tables(waiting)
