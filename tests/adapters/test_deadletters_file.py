"""The file of dead letters: private, whole lines, flushed, rotated, and what rotation removes is said."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.deadletters.file import FileDeadLetters
from plexus.adapters.deadletters.memory import MemoryDeadLetters
from plexus.domain.errors import BufferFault
from plexus.domain.point import Point

POINT = Point("motor.rpm", 3200, 1_746_969_660_000.5, {"motor": "A1"}, run_id="r-1", source_id="rig-02")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_a_line_holds_all_that_a_person_needs(tmp_path: Path) -> None:
    letters = FileDeadLetters(tmp_path, now=lambda: 1_746_969_661.25)
    letters.keep("rig-01", [POINT], "malformed", "points[0].value must be a number")
    assert lines(letters.path) == [
        {
            "time": "2025-05-11T13:21:01.250Z",
            "source_id": "rig-01",
            "reason": "malformed",
            "detail": "points[0].value must be a number",
            "count": 1,
            "points": [
                {
                    "metric": "motor.rpm",
                    "value": 3200,
                    "class": "metric",
                    "timestamp": 1_746_969_660_000.5,
                    "tags": {"motor": "A1"},
                    "run_id": "r-1",
                    "source_id": "rig-02",
                }
            ],
        }
    ]


def test_what_json_has_no_number_for_is_kept_as_a_word(tmp_path: Path) -> None:
    letters = FileDeadLetters(tmp_path)
    letters.keep("rig-01", [Point("a", {"b": [float("inf"), -float("inf")]}), Point("c", float("nan"))], "r", "d")
    values = [point["value"] for point in lines(letters.path)[0]["points"]]
    assert values == [{"b": ["Infinity", "-Infinity"]}, "NaN"]


@pytest.mark.usefixtures("open_umask")
def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    letters = FileDeadLetters(tmp_path / "home" / "spool")
    letters.keep("rig-01", [POINT], "r", "d")
    modes = {place.name: stat.S_IMODE(place.stat().st_mode) for place in letters.path.parent.iterdir()}
    assert modes == {"dead-letters.jsonl": 0o600, "dead-letters.lock": 0o600}
    assert stat.S_IMODE(letters.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["dead-letters.jsonl", "dead-letters.jsonl.1", "dead-letters.lock"])
def test_a_symbolic_link_in_its_place_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "passwords"
    target.write_text("secret")
    (directory := tmp_path / "spool").mkdir()
    (directory / name).symlink_to(target)
    with pytest.raises(BufferFault, match=rf"{name} is a symbolic link"):
        FileDeadLetters(directory).keep("rig-01", [POINT], "r", "d")
    assert target.read_text() == "secret"


def test_a_line_is_flushed_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    letters = FileDeadLetters(tmp_path)
    letters.keep("rig-01", [POINT], "r", "d")
    assert {letters.path.stat().st_ino, tmp_path.stat().st_ino} <= set(flushed)


def test_a_full_disk_is_a_buffer_fault_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = FileDeadLetters(tmp_path)
    letters.keep("rig-01", [POINT], "r", "first")
    real = os.write
    calls: list[int] = []

    def write(descriptor: int, data: Any) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        with pytest.raises(BufferFault, match=r"dead-letters\.jsonl cannot be written: No space left"):
            letters.keep("rig-01", [POINT], "r", "second")
    letters.keep("rig-01", [POINT], "r", "third")
    assert [line["detail"] for line in lines(letters.path)] == ["first", "third"]


def test_a_large_file_makes_way_and_the_one_before_it_is_removed_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    letters = FileDeadLetters(tmp_path, max_bytes=1_000)
    for number in range(9):
        letters.keep("rig-01", [POINT, POINT], "r", f"{number}{'.' * 200}")
    old = letters.path.with_name("dead-letters.jsonl.1")
    assert letters.path.stat().st_size <= 1_000
    kept = [line["detail"][0] for line in (*lines(old), *lines(letters.path))]
    assert kept == [str(number) for number in range(9 - len(kept), 9)]
    assert letters.removed_points == 2 * (9 - len(kept)) > 0
    assert "refused points were removed" in caplog.text


def test_a_letter_larger_than_the_file_is_kept_alone(tmp_path: Path) -> None:
    letters = FileDeadLetters(tmp_path, max_bytes=10)
    letters.keep("rig-01", [POINT], "r", "d")
    assert len(lines(letters.path)) == 1


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom plexus.adapters.deadletters.file import FileDeadLetters\n"
        "from plexus.domain.point import Point\n"
        "letters = FileDeadLetters(Path(sys.argv[1]), max_bytes=40_000)\n"
        "for number in range(40):\n"
        "    letters.keep(sys.argv[2], [Point('m', 'x' * 300)], 'r', str(number))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, tmp_path, name]) for name in ("a", "b", "c")]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = [line for name in (".1", "") for line in lines(tmp_path / f"dead-letters.jsonl{name}")]
    assert len(found) == 120
    assert {line["count"] for line in found} == {1}


def test_a_place_that_cannot_be_a_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BufferFault, match=r"file/dead-letters\.jsonl cannot be written: .*check that the disk"):
        FileDeadLetters(tmp_path / "file").keep("rig-01", [POINT], "r", "d")


def test_memory_keeps_the_youngest_and_counts_the_rest() -> None:
    letters = MemoryDeadLetters(max_points=5)
    for number in range(4):
        letters.keep("rig-01", [POINT, POINT], "r", str(number))
    assert [letter.detail for letter in letters.letters] == ["2", "3"]
    assert letters.removed_points == 4
