"""The file that settings are kept in: private, whole or not at all, and never overwritten when it holds garbage."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus.config import forget_key, save_settings
from plexus.domain.errors import ConfigurationError
from tests.support.configured import KEY, load, write


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "plexus"


@pytest.fixture(name="umask_000")
def _umask_000() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_directory_and_file_are_private_whatever_the_umask(directory: Path, umask_000: None) -> None:
    save_settings(directory, api_key=KEY)
    assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_directory_and_file_that_were_open_to_others_are_closed(directory: Path) -> None:
    path = write(directory, "{}")
    directory.chmod(0o755)
    path.chmod(0o644)
    save_settings(directory, api_key=KEY)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_the_place_of_the_file_is_refused_and_not_followed(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("{}")
    directory.mkdir(parents=True)
    (directory / "config.json").symlink_to(target)
    for step in (lambda: save_settings(directory, api_key=KEY), lambda: load(directory)):
        with pytest.raises(ConfigurationError, match=r"config\.json is a symbolic link"):
            step()
    assert target.read_text() == "{}"


def test_a_link_in_the_place_of_the_directory_is_refused(directory: Path, tmp_path: Path) -> None:
    directory.parent.mkdir(parents=True)
    directory.symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match="is a symbolic link"):
        save_settings(directory, api_key=KEY)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "is not valid JSON"),
        ('{"api_key": "plx_', "is not valid JSON"),
        ("[]", "must hold one JSON object"),
        ("\ud800", "is not valid JSON"),
        ('{"source_id": 7}', "source_id in .* must be text"),
        ('{"persistent_buffer": "yes"}', "persistent_buffer in .* must be true or false"),
        ('{"source_id": "../../etc"}', "source_id '../../etc' in .* is not valid"),
    ],
)
def test_a_file_that_cannot_be_right_is_named(directory: Path, content: str, why: str) -> None:
    directory.mkdir(parents=True)
    path = directory / "config.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError, match=why) as caught:
        load(directory)
    assert str(path) in str(caught.value)


def test_garbage_is_never_overwritten(directory: Path) -> None:
    path = write(directory, '{"api_key": "plx_half')
    for step in (lambda: save_settings(directory, api_key=KEY), lambda: forget_key(directory)):
        with pytest.raises(ConfigurationError, match=r"move it away and run `plexus init`"):
            step()
    assert path.read_text() == '{"api_key": "plx_half'


def test_a_file_that_the_system_refuses_is_named(directory: Path) -> None:
    (directory / "config.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"config\.json cannot be read: Is a directory"):
        load(directory)


def test_an_editors_byte_order_mark_does_no_harm(directory: Path) -> None:
    write(directory, "\ufeff" + json.dumps({"source_id": "rig-01"}))
    assert load(directory).source_id == "rig-01"


def test_what_another_release_keeps_in_the_file_stays_in_it(directory: Path) -> None:
    path = write(directory, '{"theme": "dark", "api_key": "plx_old"}')
    save_settings(directory, api_key=KEY, source_id="rig-01")
    save_settings(directory, source_id=None)
    assert json.loads(path.read_text()) == {"theme": "dark", "api_key": KEY}


def test_a_setting_that_does_not_exist_is_refused(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="gatway_url"):
        save_settings(directory, gatway_url="https://example.com")


def test_a_key_can_be_forgotten_and_the_rest_stays(directory: Path) -> None:
    save_settings(directory, api_key=KEY, source_id="rig-01")
    assert forget_key(directory) is True
    assert forget_key(directory) is False
    assert "canary" not in (directory / "config.json").read_text()
    assert load(directory).source_id == "rig-01"


def test_a_change_is_whole_or_not_at_all(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_settings(directory, api_key="plx_before")

    def power_cut(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(ConfigurationError, match="Input/output error"):
        save_settings(directory, api_key="plx_after")
    assert load(directory).api_key == "plx_before"
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "config.lock"]


def test_the_content_is_flushed_before_the_rename_and_the_directory_after_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flush(descriptor: int) -> None:
        order.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", rename)
    save_settings(directory, api_key=KEY)
    assert order[-3:] == ["file", "rename", "directory"]
