"""`export` of both clients from a gateway over its embedded store: what is in the files."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from pyarrow import parquet

from plexus import Gateway, PlexusAPI
from plexus.api.export import Exported, Progress
from plexus.api.export import order as orders
from plexus.api.export import requests as asking
from plexus.domain.errors import ConfigurationError, ExportError, NotFoundError
from plexus.ports.store import Submission
from plexus.protocol.columns import Columns
from plexus.testing.memory import MemoryHouse
from tests.e2e.exports import CLIENTS, EVENTS, POINTS, STEP_NS, T0_NS, T0_S, Client, Weather, fill, in_one_go
from tests.support.gateway import KEY, running
from tests.support.waiting import eventually

PART_ROWS = 300


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(data_dir=tmp_path_factory.mktemp("gateway") / "data") as made:
        fill(made)
        yield made


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "PART_ROWS", PART_ROWS)


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


def rows_of(table: Any) -> list[str]:
    """Rows as text, in which NaN is equal to NaN."""
    return [repr(row) for row in table.to_pylist()]


def messages(path: Path) -> list[tuple[str, int, Any]]:
    """Topic, log time and content of an MCAP file, in the order of the file."""
    with path.open("rb") as file:
        found = make_reader(file).iter_messages(log_time_order=False)
        return [(channel.topic, message.log_time, json.loads(message.data)) for _, channel, message in found]


# --- CSV and Parquet ------------------------------------------------------------------------------------------


def test_a_csv_of_many_parts_is_what_one_answer_would_be(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    weather = Weather()
    made = client.export(gateway, tmp_path / "x.csv", weather)
    assert (tmp_path / "x.csv").read_bytes() == in_one_go(gateway)
    assert len(weather.targets) > POINTS // PART_ROWS / 1.5
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert made == Exported(
        path=tmp_path / "x.csv",
        format="csv",
        rows=POINTS,
        events=0,
        size_bytes=(tmp_path / "x.csv").stat().st_size,
        sources=("rig-1", "rig-2"),
        metrics=("a.b", "c,d", "zz"),
        start=datetime.fromtimestamp(T0_S - 1, timezone.utc),
        end=datetime.fromtimestamp(T0_S + 2_000, timezone.utc),
    )


def test_buckets_in_many_parts_are_what_one_answer_would_be(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PART_ROWS", 5)
    weather = Weather()
    made = client.export(gateway, tmp_path / "x.csv", weather, resolution="1m")
    assert (tmp_path / "x.csv").read_bytes() == in_one_go(gateway, resolution="1m")
    assert len(weather.targets) > 6
    assert made.rows == (tmp_path / "x.csv").read_bytes().count(b"\r\n") - 1


def test_names_of_every_script_and_values_of_one_moment_keep_the_gateways_order(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "PART_ROWS", 3)
    with running(data_dir=tmp_path / "data") as made:
        columns = Columns()
        for metric in ("z", "é", "中", "😀", "\uffee", "a,b", "A", "a b", "a/b&c=d"):
            for index in range(12):
                columns.add("rig", metric, T0_NS + index // 4 * 1_000, is_event=False, value=index)
        made.core.store.commit([Submission("default", "rig", columns, T0_NS)])
        assert client.export(made, tmp_path / "x.csv").rows == 108
        assert (tmp_path / "x.csv").read_bytes() == in_one_go(made)


def test_a_parquet_of_many_parts_is_what_one_answer_would_be(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    made = client.export(gateway, tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    whole = parquet.read_table(io.BytesIO(in_one_go(gateway, format="parquet")))
    assert table.schema.equals(whole.schema)
    assert rows_of(table) == rows_of(whole)
    assert made.rows == table.num_rows == POINTS
    # To the nanosecond.
    assert table.column("timestamp").cast("int64")[1].as_py() == T0_NS + STEP_NS
    assert parquet.ParquetFile(tmp_path / "x.parquet").num_row_groups == 1


def test_sources_and_metrics_are_those_that_are_named(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    made = client.export(gateway, tmp_path / "x.csv", sources="rig-2", metrics=["c,d", "a.b"])
    assert (tmp_path / "x.csv").read_bytes() == in_one_go(gateway, sources="rig-2", metrics="a.b", metric="c,d")
    assert (made.rows, made.sources, made.metrics) == (400, ("rig-2",), ("a.b", "c,d"))


def test_a_window_without_data_is_a_file_with_a_header(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet", "x.mcap"):
        assert client.export(gateway, tmp_path / name, start=5, end=6).rows == 0
    assert (tmp_path / "x.csv").read_text() == "source,metric,timestamp,value,tags,run_id\n"
    assert parquet.read_table(tmp_path / "x.parquet").column_names[:3] == ["source", "metric", "timestamp"]
    assert messages(tmp_path / "x.mcap") == []


# --- MCAP -----------------------------------------------------------------------------------------------------


def test_a_recording_has_every_point_and_event_in_the_order_of_time(
    client: Client, gateway: Gateway, tmp_path: Path
) -> None:
    made = client.export(gateway, tmp_path / "x.mcap")
    found = messages(tmp_path / "x.mcap")
    assert (made.rows, made.events, len(found)) == (POINTS, EVENTS, POINTS + EVENTS)
    times = [at for _, at, _ in found]
    assert times == sorted(times)
    own = [(at, said["value"]) for topic, at, said in found if topic == "/rig-1/zz"]
    assert own == [(T0_NS + index * STEP_NS, index / 2) for index in range(1_000)]
    assert {topic for topic, _, _ in found} == {
        f"/{source_id}/{name}" for source_id in ("rig-1", "rig-2") for name in ("a.b", "c,d", "zz", "events")
    }


def test_a_recording_has_an_index_and_says_what_it_is(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    client.export(gateway, tmp_path / "x.mcap")
    with (tmp_path / "x.mcap").open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        about = {record.name: record.metadata for record in reader.iter_metadata()}
        last = [message.log_time for _, _, message in reader.iter_messages(topics=["/rig-2/zz"], reverse=True)]
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == POINTS + EVENTS
    assert (summary.statistics.message_start_time, len(summary.channels)) == (T0_NS, 8)
    assert (
        sum(len(chunk.message_index_offsets) > 0 for chunk in summary.chunk_indexes) == len(summary.chunk_indexes) > 0
    )
    assert last[0] == T0_NS + 999 * STEP_NS
    assert about["plexus"]["resolution"] == "raw"
    schemas = {schema.name: json.loads(schema.data) for schema in summary.schemas.values()}
    assert schemas["plexus.Point"]["properties"]["value"] == {"type": "number"}
    assert {schema.encoding for schema in summary.schemas.values()} == {"jsonschema"}
    assert {channel.message_encoding for channel in summary.channels.values()} == {"json"}


def test_values_and_events_of_a_recording_keep_their_meaning(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    client.export(gateway, tmp_path / "x.mcap", sources="rig-1")
    found = messages(tmp_path / "x.mcap")
    odd = [said for topic, _, said in found if topic == "/rig-1/c,d"][:8]
    stamp = {"sec": T0_NS // 10**9, "nsec": 0}
    assert odd[0] == {"timestamp": stamp, "value": 0.5, "tags": {"k": "v"}}
    assert [(said.get("value"), said.get("text")) for said in odd[1:]] == [
        (7.0, None),
        (None, 'say "hi", then\r\nleave'),
        (None, "NaN"),
        (None, "true"),
        (float(2**60 + 1), str(2**60 + 1)),
        (None, '{"x":[1,"y"]}'),
        (None, "=1+1"),
    ]
    topic, at, said = next(message for message in found if message[0].endswith("/events"))
    assert (topic, at) == ("/rig-1/events", T0_NS + 5_000)
    assert said == {
        "timestamp": {"sec": T0_NS // 10**9, "nsec": 5_000},
        "level": 4,
        "message": 'boot: {"n":0}',
        "name": "boot",
        "file": "",
        "line": 0,
        "tags": {"level": "ERROR"},
    }


def test_a_recording_of_buckets_has_their_aggregates(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    client.export(gateway, tmp_path / "x.mcap", sources="rig-1", metrics="a.b", resolution="10m")
    ((topic, at, said),) = messages(tmp_path / "x.mcap")
    assert (topic, at) == ("/rig-1/a.b", T0_NS // (600 * 10**9) * 600 * 10**9)
    assert (said["min"], said["max"], said["count"], said["last"]) == (0.0, 99.5, 200, 99.5)


def test_many_events_are_fetched_in_pieces(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "EVENTS_AT_ONCE", 2)
    assert client.export(gateway, tmp_path / "x.mcap").events == EVENTS
    found = [at for topic, at, _ in messages(tmp_path / "x.mcap") if topic == "/rig-1/events"]
    assert found == [T0_NS + index * 10**9 + 5_000 for index in range(EVENTS // 2)]


def test_times_before_1970_are_refused_in_a_recording(client: Client, tmp_path: Path) -> None:
    with running() as made:
        columns = Columns()
        columns.add("rig", "a", -5_000, is_event=False, value=1)
        made.core.store.commit([Submission("default", "rig", columns, T0_NS)])
        with pytest.raises(ExportError, match=r"from before 1970.*or use CSV"):
            client.export(made, tmp_path / "x.mcap", start=-10.0, end=10.0)
        assert client.export(made, tmp_path / "x.csv", start=-10.0, end=10.0).rows == 1


# --- runs -----------------------------------------------------------------------------------------------------


def test_a_run_is_exported_by_its_id(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    with PlexusAPI(KEY, gateway.url) as api:
        run = api.runs.start("soak", "rig-1", started_at=T0_S + 1)
        api.runs.end(run.run_id, ended_at=(T0_NS + 10 * STEP_NS + 1_000) / 1e9)
    made = client.export(gateway, tmp_path / "x.mcap", run=run.run_id, start=None, end=None)
    assert (made.sources, made.events) == (("rig-1",), 5)
    found = [at for topic, at, _ in messages(tmp_path / "x.mcap") if topic == "/rig-1/zz"]
    assert found == [T0_NS + index * STEP_NS for index in range(1, 11)]


def test_a_run_that_is_not_known_is_named(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing-such"):
        client.export(gateway, tmp_path / "x.csv", run="nothing-such", start=None, end=None)
    assert list(tmp_path.iterdir()) == []


# --- before anything is fetched -------------------------------------------------------------------------------


def test_a_source_that_is_not_known_leaves_nothing_behind(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        client.export(gateway, tmp_path / "x.csv", sources="nobody")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("library", "name", "extra"), [("pyarrow", "x.parquet", "tables"), ("mcap", "x.mcap", "mcap")])
def test_a_library_that_is_missing_is_named_before_anything_is_fetched(
    client: Client,
    gateway: Gateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    name: str,
    extra: str,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, library, None)
    weather = Weather()
    with pytest.raises(ConfigurationError, match=rf"pip install 'plexus-python\[.*{extra}"):
        client.export(gateway, tmp_path / name, weather)
    assert weather.targets == []
    assert list(tmp_path.iterdir()) == []


# --- progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.mcap"])
def test_a_callback_hears_how_far_it_is(client: Client, gateway: Gateway, tmp_path: Path, name: str) -> None:
    heard: list[Progress] = []
    client.export(gateway, tmp_path / name, on_progress=heard.append)
    fetching = [one for one in heard if one.phase == "fetching"]
    writing = [one for one in heard if one.phase == "writing"]
    assert heard == fetching + writing
    assert fetching[-1].parts_done == fetching[-1].parts > 5
    assert (fetching[-1].rows_done, writing[-1].rows_done, writing[-1].rows) == (POINTS, POINTS, POINTS)
    for earlier, later in itertools.pairwise(heard):
        assert later.size_bytes >= earlier.size_bytes
        assert later.phase != earlier.phase or later.rows_done >= earlier.rows_done


def test_a_house_in_memory_exports_too(tmp_path: Path) -> None:
    with MemoryHouse() as house:
        house.device("rig-1").send("motor.rpm", 3_200)
        reader = house.reader()
        eventually(lambda: "rig-1" in [source.source_id for source in reader.sources.list()], what="the reading")
        assert reader.export(tmp_path / "x.csv", last="1h").rows == 1
    assert ",motor.rpm," in (tmp_path / "x.csv").read_text()
