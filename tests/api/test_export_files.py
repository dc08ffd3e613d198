"""The files that exports are made of: parts as a gateway sends them, put together."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader
from pyarrow import parquet

from plexus.api.export import csvfile, mcapfile, parquetfile
from plexus.api.export.schemas import log_fields, text_of
from plexus.domain.errors import ExportError
from plexus.domain.event import Event

HEADER = ["source", "metric", "timestamp", "value", "tags", "run_id"]
T0_NS = 1_746_969_660_000_000_000
ABOUT = mcapfile.About(0, 1, "raw", "")

cells = st.text(st.sampled_from('a",\r\n;é'), max_size=12)
tables = st.lists(st.lists(st.lists(cells, min_size=6, max_size=6), max_size=5), min_size=1, max_size=4)


def heard(_parts: int, _rows: int) -> None:
    """Nobody looks on."""


def as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *rows])
    return text.getvalue().encode()


def a_table(*rows: tuple[str, str, int, Any]) -> pa.Table:
    """Rows of source, metric, nanoseconds and value."""
    numbers = [value if isinstance(value, float) else None for *_, value in rows]
    texts = [value if isinstance(value, str) else None for *_, value in rows]
    return pa.table(
        {
            "source": [row[0] for row in rows],
            "metric": [row[1] for row in rows],
            "timestamp": pa.array([row[2] for row in rows], pa.int64()).cast(pa.timestamp("ns", "UTC")),
            "value": pa.array(numbers, pa.float64()),
            "text": pa.array(texts, pa.string()),
            "tags": pa.nulls(len(rows), pa.string()),
            "run_id": pa.nulls(len(rows), pa.string()),
        }
    )


def kept(folder: Path, *tables: pa.Table) -> list[Path]:
    """Tables as parts."""
    places = [folder / f"{number}.parquet" for number in range(len(tables))]
    for place, table in zip(places, tables, strict=True):
        parquet.write_table(table, place)
    return places


def recorded(path: Path) -> list[tuple[str, str, int, Any]]:
    with path.open("rb") as file:
        return [
            (channel.topic, schema.name if schema else "", message.log_time, json.loads(message.data))
            for schema, channel, message in make_reader(file).iter_messages(log_time_order=False)
        ]


# --- CSV ------------------------------------------------------------------------------------------------------


@given(parts=tables, chunk=st.integers(1, 40))
def test_parts_of_a_csv_are_one_csv_whatever_is_in_them(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[list[str]]], chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    places = [folder / f"{number}.csv" for number in range(len(parts))]
    for place, rows in zip(places, parts, strict=True):
        place.write_bytes(as_csv(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvfile, "CHUNK_BYTES", chunk)
        count = csvfile.assemble(places, folder / "whole", heard)
    whole = [row for rows in parts for row in rows]
    assert (folder / "whole").read_bytes() == as_csv(whole)
    assert count == len(whole)


@pytest.mark.parametrize("odd", [b"", b"<html>log in here</html>", b"source,metric\r\n"])
def test_a_part_with_another_header_is_refused(tmp_path: Path, odd: bytes) -> None:
    places = [tmp_path / "1.csv", tmp_path / "2.csv"]
    places[0].write_bytes(as_csv([]))
    places[1].write_bytes(odd)
    with pytest.raises(ExportError, match="has other columns than the parts before it"):
        csvfile.assemble(places, tmp_path / "whole", heard)


# --- Parquet --------------------------------------------------------------------------------------------------


def test_small_parts_share_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquetfile, "GROUP_ROWS", 4)
    tables = [a_table(*[("rig", "a", T0_NS + part * 10 + row, 1.5) for row in range(3)]) for part in range(5)]
    told: list[tuple[int, int]] = []
    rows = parquetfile.assemble(kept(tmp_path, *tables), tmp_path / "whole", lambda *so_far: told.append(so_far))
    made = parquet.ParquetFile(tmp_path / "whole")
    assert (rows, made.metadata.num_rows) == (15, 15)
    assert [made.metadata.row_group(group).num_rows for group in range(made.num_row_groups)] == [6, 6, 3]
    assert made.read().equals(pa.concat_tables(tables))
    assert told == [(2, 6), (4, 12), (5, 15)]


# --- MCAP -----------------------------------------------------------------------------------------------------


def test_values_of_one_moment_keep_their_order(tmp_path: Path) -> None:
    table = a_table(("arm", "a", T0_NS + 1, 1.0), ("arm", "a", T0_NS + 1, 2.0), ("rig", "a", T0_NS, 3.0))
    assert mcapfile.assemble(kept(tmp_path, table), {}, tmp_path / "whole", ABOUT, heard) == (3, 0)
    assert [(topic, said["value"]) for topic, _, _, said in recorded(tmp_path / "whole")] == [
        ("/rig/a", 3.0),
        ("/arm/a", 1.0),
        ("/arm/a", 2.0),
    ]


def test_a_metric_called_events_has_a_topic_of_its_own(tmp_path: Path) -> None:
    line = mcapfile.event_line(Event("boot", "up", T0_NS / 1e6))
    (tmp_path / "1.events").write_text(line + "\n")
    parts = kept(tmp_path, a_table(("rig", "events", T0_NS + 5, 1.0)))
    assert mcapfile.assemble(parts, {"rig": tmp_path / "1.events"}, tmp_path / "whole", ABOUT, heard) == (1, 1)
    assert [(topic, schema) for topic, schema, *_ in recorded(tmp_path / "whole")] == [
        ("/rig/events", "foxglove.Log"),
        ("/rig/events_", "plexus.Point"),
    ]


def test_events_of_several_sources_are_in_the_order_of_time(tmp_path: Path) -> None:
    for place, source_id in enumerate(("arm", "rig")):
        lines = [mcapfile.event_line(Event("tick", str(i), (T0_NS + i * 1_000_000) / 1e6)) for i in range(place, 10, 2)]
        (tmp_path / source_id).write_text("\n".join(lines) + "\n")
    events = {source_id: tmp_path / source_id for source_id in ("arm", "rig")}
    mcapfile.assemble([], events, tmp_path / "whole", ABOUT, heard)
    assert [said["message"] for *_, said in recorded(tmp_path / "whole")] == [f"tick: {i}" for i in range(10)]


def test_a_part_of_another_kind_of_server_is_named(tmp_path: Path) -> None:
    places = kept(tmp_path, pa.table({"time": [1], "value": [2.0]}))
    with pytest.raises(ExportError, match="has no column 'source'"):
        mcapfile.assemble(places, {}, tmp_path / "whole", ABOUT, heard)


@pytest.mark.parametrize(
    ("tags", "level"),
    [({}, 2), ({"level": "DEBUG"}, 1), ({"level": "warning"}, 3), ({"level": "CRITICAL"}, 5), ({"level": "loud"}, 2)],
)
def test_an_event_has_the_level_of_its_log_record(tags: dict[str, str], level: int) -> None:
    assert log_fields("log", "text", tags)["level"] == level


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("up", "up"),
        (True, "true"),
        (3, "3"),
        (float("-inf"), "-Infinity"),
        ({"a": ["é"]}, '{"a":["é"]}'),
        (None, "null"),
    ],
)
def test_a_value_is_told_as_text(value: Any, text: str) -> None:
    assert text_of(value) == text
