"""SQLite's own file system layer, recorded: every write and every flush of every database, in order.

The layer of the SQLite library that Python's `sqlite3` uses is copied, and the copy made the default, so the code
under test is the shipped code and knows nothing of it. Only opening, writing, truncating, flushing and deleting are
looked at; each does what it always does, unless it was told to `fail`. Directories that are flushed, by SQLite or by
`os.fsync`, are in the record too.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import attrs

Action = Literal["create", "write", "truncate", "sync", "delete", "sync_directory"]

FULL, IOERR_WRITE, IOERR_FSYNC = 13, 10 | 3 << 8, 10 | 4 << 8
"""What SQLite calls a full disk, a write that failed and a flush that failed."""


@attrs.frozen
class Entry:
    """One action on one file; `data` and `offset` belong to a write, `offset` alone to a truncate.

    A file is created when it was not there before it was opened. The path of a flushed directory is its own. What
    failed is not in the record.
    """

    action: Action
    path: str
    offset: int = 0
    data: bytes = b""


_p, _int, _i64, _str = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
# A file's name stays a pointer: SQLite keeps more behind its end than a copy of the text would have.
_OPEN = ctypes.CFUNCTYPE(_int, _p, _p, _p, _int, _p)
_DELETE = ctypes.CFUNCTYPE(_int, _p, _str, _int)
_CLOSE = ctypes.CFUNCTYPE(_int, _p)
_WRITE = ctypes.CFUNCTYPE(_int, _p, _p, _int, _i64)
_TRUNCATE = ctypes.CFUNCTYPE(_int, _p, _i64)
_SYNC = ctypes.CFUNCTYPE(_int, _p, _int)

_VFS_TAIL = ("xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose", "xRandomness", "xSleep")
_VFS_NEWER = ("xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall", "xGetSystemCall")


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", _int),
        ("szOsFile", _int),
        ("mxPathname", _int),
        ("pNext", _p),
        ("zName", _str),
        ("pAppData", _p),
        ("xOpen", _OPEN),
        ("xDelete", _DELETE),
        *((name, _p) for name in (*_VFS_TAIL, *_VFS_NEWER, "xNextSystemCall")),
    ]


class _Methods(ctypes.Structure):
    _fields_ = [
        ("iVersion", _int),
        ("xClose", _CLOSE),
        ("xRead", _p),
        ("xWrite", _WRITE),
        ("xTruncate", _TRUNCATE),
        ("xSync", _SYNC),
        *((f"more{number}", _p) for number in range(13)),
    ]


def _library() -> Any:
    # The instance that `sqlite3` itself is linked against: loading its name again gives the same one.
    name = ctypes.util.find_library("sqlite3") or "libsqlite3.so.0"
    library = ctypes.CDLL(name)
    library.sqlite3_libversion.restype = _str
    same = library.sqlite3_libversion().decode() == sqlite3.sqlite_version
    assert same, f"{name} is not the SQLite that Python uses"
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [_str]
    library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), _int]
    library.sqlite3_vfs_unregister.argtypes = [ctypes.POINTER(_Vfs)]
    return library


@attrs.define
class _Fault:
    action: Action
    end: str
    code: int
    times: int | None


class Recorder:
    """The record. `entries` may be read at any time; `note` puts a mark of one's own between them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry | str] = []
        self._paths: dict[int, str] = {}
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}
        self._faults: list[_Fault] = []
        self.free: Callable[[], int] | None = None
        """How many bytes the disk has left, by which files may grow; None: as many as it has."""

    @property
    def entries(self) -> list[Entry | str]:
        """What happened so far, in order."""
        with self._lock:
            return list(self._entries)

    def note(self, text: str) -> None:
        """Put `text` into the record."""
        self._note(text)

    def fail(self, action: Action, end: str, code: int, times: int | None = None) -> None:
        """From now on `action` fails with `code` on files whose name has this end; None: every time."""
        with self._lock:
            self._faults.append(_Fault(action, end, code, times))

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._faults.clear()
            self.free = None

    def _is_full(self, file: int, end: int) -> bool:
        """Whether the disk has no room for a file that reaches to `end`."""
        with self._lock:
            path = Path(self._paths.get(file, "?"))
        return self.free is not None and path.exists() and end - path.stat().st_size > max(0, self.free())

    def _failure(self, file: int, action: Action) -> int:
        """The code of the failure that is due, 0 for none."""
        with self._lock:
            path = self._paths.get(file, "?")
            for fault in self._faults:
                if fault.action == action and path.endswith(fault.end) and fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault.code
        return 0

    def _note(self, entry: Entry | str) -> None:
        with self._lock:
            self._entries.append(entry)

    def _add(self, file: int, action: Action, offset: int = 0, data: bytes = b"") -> None:
        self._note(Entry(action, self._paths.get(file, "?"), offset, data))

    # --- the layer ------------------------------------------------------------------------------------------

    def _opened(self, name: int | None, file: int) -> None:
        with self._lock:
            self._paths[file] = ctypes.string_at(name).decode() if name else "(temporary)"
        slot = ctypes.cast(file, ctypes.POINTER(ctypes.POINTER(_Methods)))
        own = ctypes.addressof(slot[0].contents)
        if own not in self._methods:
            self._methods[own] = self._wrapped(slot[0].contents)
        slot[0] = ctypes.pointer(self._methods[own][0])

    def _wrapped(self, original: _Methods) -> tuple[_Methods, _Methods]:
        ours = _Methods.from_buffer_copy(original)

        def write(file: int, data: int, size: int, offset: int) -> int:
            if code := self._failure(file, "write"):
                return code
            if self._is_full(file, offset + size):
                return FULL
            self._add(file, "write", offset, ctypes.string_at(data, size))
            return int(original.xWrite(file, data, size, offset))

        def truncate(file: int, size: int) -> int:
            self._add(file, "truncate", size)
            return int(original.xTruncate(file, size))

        def sync(file: int, flags: int) -> int:
            if code := self._failure(file, "sync"):
                return code
            result = int(original.xSync(file, flags))
            # Noted when it is done: what comes after it in the record came after the flush.
            self._add(file, "sync")
            return result

        ours.xWrite, ours.xTruncate, ours.xSync = _WRITE(write), _TRUNCATE(truncate), _SYNC(sync)
        return ours, original


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Record every SQLite database that is opened inside; close them before the end. POSIX only."""
    assert sys.platform != "win32"
    library = _library()
    recorder = Recorder()
    original = library.sqlite3_vfs_find(None)
    ours = _Vfs.from_buffer_copy(original.contents)

    def open_(_vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        is_new = name is not None and not Path(ctypes.string_at(name).decode()).exists()
        result = int(original.contents.xOpen(ctypes.addressof(original.contents), name, file, flags, out))
        if result == 0:
            recorder._opened(name, file)
            if is_new:
                recorder._add(file, "create")
        return result

    def delete(_vfs: int, name: bytes, sync_directory: int) -> int:
        recorder._note(Entry("delete", name.decode()))
        result = int(original.contents.xDelete(ctypes.addressof(original.contents), name, sync_directory))
        if sync_directory:
            recorder._note(Entry("sync_directory", str(Path(name.decode()).parent)))
        return result

    def fsync(descriptor: Any) -> None:
        flush(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            recorder._note(Entry("sync_directory", str(Path(f"/proc/self/fd/{descriptor}").readlink())))

    flush = os.fsync
    os.fsync = fsync  # type: ignore[assignment]

    ours.zName, ours.pNext = b"recorded", None
    ours.xOpen, ours.xDelete = _OPEN(open_), _DELETE(delete)
    assert library.sqlite3_vfs_register(ctypes.byref(ours), 1) == 0
    try:
        yield recorder
    finally:
        os.fsync = flush
        library.sqlite3_vfs_unregister(ctypes.byref(ours))
        library.sqlite3_vfs_register(original, 1)


def flushed_between(entries: list[Entry | str], begin: str, end: str, name: str) -> bool:
    """Whether file `name` was written and then flushed between two notes, with no write after the last flush."""
    first, last = entries.index(begin), entries.index(end)
    actions = [
        entry.action
        for entry in entries[first:last]
        if isinstance(entry, Entry) and Path(entry.path).name == name and entry.action in ("write", "sync")
    ]
    return "write" in actions and actions[-1] == "sync"
