"""SQLite's own file system layer, recorded: every write and every flush of every database, in order.

The layer of the SQLite library that Python's `sqlite3` uses is copied, and the copy made the default, so the code
under test is the shipped code and knows nothing of it. Only opening, writing, truncating, flushing and deleting are
looked at; each does what it always does.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import attrs

Action = Literal["write", "truncate", "sync", "delete"]


@attrs.frozen
class Entry:
    """One action on one file; `data` and `offset` belong to a write, `offset` alone to a truncate."""

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


class Recorder:
    """The record. `entries` may be read at any time; `note` puts a mark of one's own between them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry | str] = []
        self._paths: dict[int, str] = {}
        self._methods: dict[int, tuple[_Methods, _Methods]] = {}

    @property
    def entries(self) -> list[Entry | str]:
        """What happened so far, in order."""
        with self._lock:
            return list(self._entries)

    def note(self, text: str) -> None:
        """Put `text` into the record."""
        with self._lock:
            self._entries.append(text)

    def _add(self, file: int, action: Action, offset: int = 0, data: bytes = b"") -> None:
        with self._lock:
            self._entries.append(Entry(action, self._paths.get(file, "?"), offset, data))

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
            self._add(file, "write", offset, ctypes.string_at(data, size))
            return int(original.xWrite(file, data, size, offset))

        def truncate(file: int, size: int) -> int:
            self._add(file, "truncate", size)
            return int(original.xTruncate(file, size))

        def sync(file: int, flags: int) -> int:
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
        result = int(original.contents.xOpen(ctypes.addressof(original.contents), name, file, flags, out))
        if result == 0:
            recorder._opened(name, file)
        return result

    def delete(_vfs: int, name: bytes, sync_directory: int) -> int:
        with recorder._lock:
            recorder._entries.append(Entry("delete", name.decode()))
        return int(original.contents.xDelete(ctypes.addressof(original.contents), name, sync_directory))

    ours.zName, ours.pNext = b"recorded", None
    ours.xOpen, ours.xDelete = _OPEN(open_), _DELETE(delete)
    assert library.sqlite3_vfs_register(ctypes.byref(ours), 1) == 0
    try:
        yield recorder
    finally:
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
