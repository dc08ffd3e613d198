"""The history's files as questions see them: a file that was let go of is unlinked when nobody looks at it any more."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from plexus.adapters.store.embedded.files.sealedfile import SealedFile


@attrs.define(eq=False)
class _Version:
    """The files at one time, how many look at them, and those that were let go of after it."""

    files: tuple[SealedFile, ...]
    looking: int = 0
    gone: list[SealedFile] = attrs.field(factory=list)


class Shelf:
    """Every file that can be asked. `dispose` is called once for files that nobody looks at; by any thread."""

    def __init__(self, files: Iterable[SealedFile], dispose: Callable[[Sequence[SealedFile]], None]) -> None:
        self._dispose = dispose
        self._lock = threading.Lock()
        self._versions: deque[_Version] = deque([_Version(_ordered(files))])

    @property
    def files(self) -> tuple[SealedFile, ...]:
        """The files as they are now, in the order in which their points were committed."""
        return self._versions[-1].files

    @contextlib.contextmanager
    def look(self) -> Iterator[tuple[SealedFile, ...]]:
        """The files as they are now; all of them stay while they are looked at."""
        with self._lock:
            version = self._versions[-1]
            version.looking += 1
        try:
            yield version.files
        finally:
            with self._lock:
                version.looking -= 1
            self._clear()

    def swap(self, out: Iterable[SealedFile], into: Iterable[SealedFile]) -> None:
        """From now on these are seen in the place of those."""
        going = {file.name: file for file in out}
        with self._lock:
            before = self._versions[-1]
            kept = [file for file in before.files if file.name not in going]
            before.gone += going.values()
            self._versions.append(_Version(_ordered([*kept, *into])))
        self._clear()

    def withdraw(self, file: SealedFile) -> bool:
        """Nobody sees this file from now on; it stays where it is. Whether it was seen until now."""
        with self._lock:
            before = self._versions[-1].files
            files = [own for own in before if own.name != file.name]
            self._versions.append(_Version(_ordered(files)))
        self._clear()
        return len(files) < len(before)

    def _clear(self) -> None:
        """What was let go of after a version may be held by it and by every one before it."""
        gone: list[SealedFile] = []
        with self._lock:
            while len(self._versions) > 1 and not self._versions[0].looking:
                gone += self._versions.popleft().gone
        if gone:
            self._dispose(gone)


def _ordered(files: Iterable[SealedFile]) -> tuple[SealedFile, ...]:
    return tuple(sorted(files, key=lambda file: (file.first_seq, file.name)))
