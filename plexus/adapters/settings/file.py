"""The settings file, `config.json` in Plexus's own directory: it holds the API key, so it is private.

Invariants:
- the directory is 0700 and the file 0600, whatever the umask is;
- a symbolic link in the place of either is refused: somebody else put it there;
- a change replaces the file whole (temporary file, fsync, rename, fsync of the directory), so a power cut leaves the
  old content or the new;
- changes are made one after the other among all processes, each upon what the one before it wrote;
- a file that cannot be read as settings is reported and never overwritten;
- what this release does not know in the file stays in it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from plexus.adapters.filelock import alone
from plexus.adapters.privatefile import NO_FOLLOW, flush_directory, link_among, make_directory, set_mode
from plexus.domain.errors import ConfigurationError, ProtocolError
from plexus.protocol import jsontext

FILE_NAME = "config.json"
LOCK_NAME = "config.lock"
MAX_FILE_BYTES = 1024 * 1024


class SettingsFile:
    """The settings of one directory. Every failure is a ConfigurationError naming the file and what to do."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / FILE_NAME

    def read(self) -> dict[str, Any]:
        """What the file holds; empty when there is none."""
        with self._faults("be read"):
            self._refuse_links()
            try:
                descriptor = os.open(self.path, os.O_RDONLY | NO_FOLLOW)
            except (FileNotFoundError, NotADirectoryError):
                return {}
            with os.fdopen(descriptor, "rb") as file:
                return self._parse(file.read(MAX_FILE_BYTES + 1))

    def change(self, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Let `change` alter the content, alone among all processes; returns what the file then holds."""
        with self._faults("be written"):
            self._refuse_links()
            _make_private_directory(self._directory)
            with alone(self._directory / LOCK_NAME):
                before = self.read()
                after = dict(before)
                change(after)
                if after != before:
                    self._replace(json.dumps(after, indent=2).encode() + b"\n")
                return after

    def _parse(self, raw: bytes) -> dict[str, Any]:
        try:
            # Editors on Windows put a byte order mark in front.
            content = jsontext.loads(raw.decode("utf-8-sig")) if len(raw) <= MAX_FILE_BYTES else None
        except (ProtocolError, UnicodeDecodeError) as exc:
            raise ConfigurationError(f"{self.path} is not valid JSON; {self._remedy()}") from exc
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self.path} must hold one JSON object of settings; {self._remedy()}")
        return content

    def _remedy(self) -> str:
        return "mend it, or move it away and run `plexus init` for a new one (it is left as it is)"

    def _replace(self, content: bytes) -> None:
        temporary = self._directory / f".{FILE_NAME}-{os.urandom(8).hex()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                set_mode(temporary, 0o600)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._refuse_links()
            temporary.replace(self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush_directory(self._directory)

    def _refuse_links(self) -> None:
        link = link_among((self._directory, self.path, self._directory / LOCK_NAME))
        if link is not None:
            raise ConfigurationError(
                f"{link} is a symbolic link; Plexus keeps keys only in files of its own: remove it, "
                "or name the real directory in PLEXUS_HOME"
            )

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ConfigurationError(
                f"{self.path} cannot {what}: {exc.strerror or exc}; check that {self._directory} is yours and the disk "
                "is not full or read-only, or name another directory in PLEXUS_HOME"
            ) from exc


def _make_private_directory(directory: Path) -> None:
    make_directory(directory)
    set_mode(directory, 0o700)
