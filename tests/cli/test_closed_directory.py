"""Somebody forgot `sudo -u plexus`: the data directory of a service is closed to everybody else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--show-config"),
        ("serve", "--port", "0"),
        ("keys", "list"),
        ("keys", "create", "a"),
        ("gateway", "check"),
        ("gateway", "restore", "backup.tar"),
    ],
)
def test_a_directory_that_is_closed_to_the_user_says_whose_it_is(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    # Played, for tests may run as root, who is kept out of nothing.
    data, owner = tmp_path / "data", tmp_path.owner()
    data.mkdir()
    (data / "keys.db").touch()

    def refuse(path: str | Path) -> object:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as closed:
        closed.setattr(os, "scandir", refuse)
        ended = plexus(*words, "--data", str(data))
    assert ended.code == 1
    assert f"{data} is closed to this user: write `sudo -u {owner}` before the command" in ended.err
    assert ended.err.count("\n") == 1
    assert [path.name for path in data.iterdir()] == ["keys.db"]


def test_a_configuration_that_may_not_even_be_looked_for_says_whose_it_is(
    plexus: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.name == "gateway.toml" and path.parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    ended = plexus("serve", "--show-config", "--data", str(tmp_path))
    assert (ended.code, ended.out) == (1, "")
    assert f"{tmp_path} is closed to this user: write `sudo -u {tmp_path.owner()}` before the command" in ended.err
