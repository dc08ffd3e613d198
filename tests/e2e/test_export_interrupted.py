"""Exports that are killed, cut off, or refused by the disk: what is there afterwards, and how they go on."""

from __future__ import annotations

import asyncio
import errno
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader

from plexus import AsyncPlexusAPI, Gateway
from plexus.adapters.filelock import alone
from plexus.api.export import Progress, csvfile, mcapfile, parquetfile
from plexus.api.export import order as orders
from plexus.api.export.steps import CUTS_FORGIVEN
from plexus.domain.errors import ExportError, TransportError
from tests.e2e.exports import CLIENTS, WINDOW, Client, Weather, awaited, blocking, fill
from tests.support.gateway import KEY, running

PART_ROWS = 300
NAMES = ("x.csv", "x.parquet", "x.mcap")
MAKERS = {"x.csv": csvfile, "x.parquet": parquetfile, "x.mcap": mcapfile}

KILLED = """
import os, signal, sys
from plexus import PlexusAPI
from plexus.api.export import order
order.PART_ROWS = {part_rows}

def told(progress):
    if progress.phase == {phase!r} and progress.parts_done >= {parts}:
        os.kill(os.getpid(), signal.SIGKILL)

with PlexusAPI({key!r}, {url!r}) as api:
    api.export({path!r}, on_progress=told, **{window!r})
"""


class StopError(Exception):
    """The test ends an export here."""


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


def content(path: Path) -> Any:
    """All that is in a file: its bytes, or the messages of a recording."""
    if path.suffix != ".mcap":
        return path.read_bytes()
    with path.open("rb") as file:
        found = make_reader(file).iter_messages(log_time_order=False)
        return [(channel.topic, message.log_time, message.data) for _, channel, message in found]


def stopped_after(gateway: Gateway, path: Path, parts: int, **arguments: Any) -> None:
    """An export that ends when it has fetched so many parts."""

    def told(progress: Progress) -> None:
        if progress.parts_done >= parts:
            raise StopError

    with pytest.raises(StopError):
        blocking(gateway, path, on_progress=told, **arguments)


def folder(path: Path) -> Path:
    return path.with_name(path.name + ".part")


# --- killed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("phase", "parts"), [("fetching", 3), ("writing", 1)])
def test_an_export_that_was_killed_goes_on_to_the_same_file(
    gateway: Gateway, tmp_path: Path, name: str, phase: str, parts: int
) -> None:
    path = tmp_path / name
    code = KILLED.format(
        part_rows=PART_ROWS, phase=phase, parts=parts, key=KEY, url=gateway.url, path=str(path), window=WINDOW
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not path.exists()
    weather = Weather()
    made = blocking(gateway, path, weather)
    whole = Weather()
    assert not blocking(gateway, tmp_path / f"whole-{name}", whole).resumed
    assert made.resumed
    assert content(path) == content(tmp_path / f"whole-{name}")
    # What had been fetched is not fetched again.
    fetched = parts if phase == "fetching" else len(whole.targets)
    assert len(weather.targets) == len(whole.targets) - fetched
    assert not folder(path).exists()


def test_an_export_goes_on_with_the_other_client(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    stopped_after(gateway, tmp_path / "x.csv", 4)
    weather = Weather()
    assert client.export(gateway, tmp_path / "x.csv", weather).resumed
    awaited(gateway, tmp_path / "whole.csv")
    assert content(tmp_path / "x.csv") == content(tmp_path / "whole.csv")
    assert len(weather.targets) == 8


def test_another_question_begins_anew(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    stopped_after(gateway, tmp_path / "x.csv", 4)
    made = client.export(gateway, tmp_path / "x.csv", sources="rig-1", metrics="a.b")
    assert (made.resumed, made.rows) == (False, 200)
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_the_last_hour_goes_on_as_the_hour_that_was_begun(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    begun: list[str] = []

    def told(progress: Progress) -> None:
        begun.append(progress.phase)
        raise StopError

    hour = {"start": None, "end": None, "last": "3650d"}
    with pytest.raises(StopError):
        client.export(gateway, tmp_path / "x.csv", on_progress=told, **hour)
    kept = (folder(tmp_path / "x.csv") / "plan.json").read_text()
    made = client.export(gateway, tmp_path / "x.csv", **hour)
    assert begun
    assert made.resumed
    assert str(round(made.end.timestamp() * 1_000_000)) in kept


def test_a_part_of_which_half_is_there_is_fetched_again(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    stopped_after(gateway, tmp_path / "x.csv", 2)
    (folder(tmp_path / "x.csv") / "00003.csv.new").write_bytes(b"source,metric,timest")
    client.export(gateway, tmp_path / "x.csv")
    blocking(gateway, tmp_path / "whole.csv")
    assert content(tmp_path / "x.csv") == content(tmp_path / "whole.csv")


def test_a_task_that_is_cancelled_leaves_what_it_fetched_and_lets_go(gateway: Gateway, tmp_path: Path) -> None:
    async def run() -> None:
        enough = asyncio.Event()

        def told(progress: Progress) -> None:
            if progress.parts_done == 2:
                enough.set()

        async with AsyncPlexusAPI(KEY, gateway.url) as api:
            asked: dict[str, Any] = {**WINDOW, "on_progress": told}
            job = asyncio.ensure_future(api.export(tmp_path / "x.csv", **asked))
            await enough.wait()
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job

    asyncio.run(run())
    assert (folder(tmp_path / "x.csv") / "00002.csv").exists()
    assert blocking(gateway, tmp_path / "x.csv").resumed


# --- cut off ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_breaks_off_is_fetched_again(client: Client, gateway: Gateway, tmp_path: Path, name: str) -> None:
    weather = Weather(cuts={2: 100, 3: 1, 5: 700})
    client.export(gateway, tmp_path / name, weather)
    blocking(gateway, tmp_path / f"whole-{name}")
    assert content(tmp_path / name) == content(tmp_path / f"whole-{name}")
    assert weather.targets[1] == weather.targets[2] == weather.targets[3]


def test_what_came_in_vain_is_not_counted(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for driver in ("sync", "asynchronous"):
        monkeypatch.setattr(f"plexus.api.export.{driver}.CHUNK_BYTES", 512)
    heard: list[Progress] = []
    client.export(gateway, tmp_path / "x.csv", Weather(cuts={2: 5_000}), on_progress=heard.append)
    whole: list[Progress] = []
    client.export(gateway, tmp_path / "whole.csv", on_progress=whole.append)
    assert heard[-1].size_bytes == whole[-1].size_bytes
    assert any(later.size_bytes < earlier.size_bytes for earlier, later in itertools.pairwise(heard))


def test_a_part_that_always_breaks_off_is_an_error_and_the_rest_is_kept(
    client: Client, gateway: Gateway, tmp_path: Path
) -> None:
    weather = Weather(cuts=dict.fromkeys(range(3, 100), 50))
    with pytest.raises(TransportError, match="closed connection"):
        client.export(gateway, tmp_path / "x.csv", weather)
    assert len(weather.targets) == 2 + 1 + CUTS_FORGIVEN
    assert not (tmp_path / "x.csv").exists()
    assert (folder(tmp_path / "x.csv") / "00002.csv").exists()
    assert client.export(gateway, tmp_path / "x.csv").resumed


# --- the disk -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_full_leaves_no_file_and_keeps_what_came(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(_file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MAKERS[name], "flush", full)
        with pytest.raises(ExportError, match=rf"no room on the disk for .*{name}.* make room and export again"):
            client.export(gateway, tmp_path / name)
    assert not (tmp_path / name).exists()
    assert not (folder(tmp_path / name) / "whole").exists()
    weather = Weather()
    assert client.export(gateway, tmp_path / name, weather).resumed
    assert weather.targets == []


def test_a_disk_that_fills_while_a_part_comes_in_says_so(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("plexus.api.export.sync.flush", full)
    monkeypatch.setattr("plexus.api.export.asynchronous.flush", full)
    with pytest.raises(ExportError, match="no room on the disk"):
        client.export(gateway, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_a_folder_that_cannot_be_written_says_so(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: Any, **_named: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(ExportError, match=r"cannot be written \(Permission denied\): check the folder and its rights"):
        client.export(gateway, tmp_path / "x.csv")


def test_a_file_that_came_to_be_meanwhile_is_not_replaced(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    def told(progress: Progress) -> None:
        if progress.phase == "writing":
            (tmp_path / "x.csv").write_text("mine")

    with pytest.raises(ExportError, match="came to be meanwhile"):
        client.export(gateway, tmp_path / "x.csv", on_progress=told)
    assert (tmp_path / "x.csv").read_text() == "mine"
    assert client.export(gateway, tmp_path / "x.csv", overwrite=True).resumed
    assert (tmp_path / "x.csv").read_text() != "mine"


def test_the_old_file_is_there_until_the_new_one_is_whole(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("old")
    stopped_after(gateway, tmp_path / "x.csv", 3, overwrite=True)
    assert (tmp_path / "x.csv").read_text() == "old"
    assert client.export(gateway, tmp_path / "x.csv", overwrite=True).rows == 2_800


def test_two_exports_do_not_write_into_one_file(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    stopped_after(gateway, tmp_path / "x.csv", 3)
    with alone(folder(tmp_path / "x.csv") / "lock"), pytest.raises(ExportError, match="another export is writing"):
        client.export(gateway, tmp_path / "x.csv")
    assert client.export(gateway, tmp_path / "x.csv").resumed


def test_a_folder_of_somebody_else_is_left_alone(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    folder(tmp_path / "x.csv").mkdir()
    (folder(tmp_path / "x.csv") / "letters.txt").write_text("dear")
    with pytest.raises(ExportError, match=r"holds 'letters.txt'.*move it away"):
        client.export(gateway, tmp_path / "x.csv")
    assert [path.name for path in folder(tmp_path / "x.csv").iterdir()] == ["letters.txt"]


def test_a_file_in_the_place_of_the_folder_is_left_alone(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    folder(tmp_path / "x.csv").write_text("mine")
    with pytest.raises(ExportError, match="is in the way"):
        client.export(gateway, tmp_path / "x.csv")
    assert folder(tmp_path / "x.csv").read_text() == "mine"


def test_a_place_that_cannot_be_looked_at_says_so(
    client: Client, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: Any, **_named: Any) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.path.lexists", refused)
    with pytest.raises(ExportError, match=r"cannot be made \(Permission denied\)"):
        client.export(gateway, tmp_path / "x.csv")


def test_an_answer_that_is_no_export_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    stopped_after(gateway, path, 1)
    (folder(path) / "00001.parquet").write_bytes(b"<html>log in here</html>")
    with pytest.raises(ExportError, match="is no Parquet file"):
        blocking(gateway, path)
    assert not path.exists()
