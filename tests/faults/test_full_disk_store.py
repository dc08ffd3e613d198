"""A full disk under the gateway's store: what was acknowledged is there, and it goes on by itself when there is room.

On a disk whose room is counted, by SQLite's file system layer and where the history is written. With FULL_DISK_TMPFS=1
also on a real file system that is full, in a name space of its own (Linux, `unshare`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.checking import check
from plexus.adapters.store.embedded.files import output
from plexus.adapters.store.embedded.inside import Upkeep
from plexus.domain.errors import StoreError
from plexus.testing.contracts.store.suite import named, submission, values_of
from tests.support.recording_vfs import recorded
from tests.support.tmpfs import needs_tmpfs, on_tmpfs

CAPACITY = 2 * 1024 * 1024
BALLAST = 2 * 1024 * 1024
UPKEEP = Upkeep(stretch_points=400, seal_after_ns=1, retry_ns=1, merge_files=3)


class Device:
    """Sends its batches in order, and the next one only when the last one is stored."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.sent = 0

    def send(self) -> bool:
        """Whether the next batch was stored."""
        n = self.sent + 1
        noise = [(f"noise{i}", n, os.urandom(300).hex()) for i in range(10)]
        try:
            self._store.commit([submission(("count", n, n), *noise, batch=named(n))])
        except StoreError as exc:
            if "disk" not in str(exc):
                raise
            return False
        self.sent = n
        return True


def live(folder: Path, make_room: Callable[[], None]) -> None:
    """Send until the disk is full, go on when there is room, and look at everything."""
    with closing(EmbeddedStore(folder / "data", upkeep=UPKEEP)) as store:
        device, now, refused = Device(store), 0, 0
        while refused < 20 and device.sent < 5_000:
            refused += not device.send()
            now += 1
            store.maintain(now)
        assert refused, "the disk is never full"
        before = device.sent
        assert values_of(store, "count") == list(range(1, before + 1))
        make_room()
        for _ in range(60):
            now += 10
            store.maintain(now)
            assert device.send(), "there is room again"
        assert values_of(store, "count") == list(range(1, device.sent + 1))
    with closing(EmbeddedStore(folder / "data", upkeep=UPKEEP)) as store:
        assert values_of(store, "count") == list(range(1, device.sent + 1))
        for later in range(50):
            while store.maintain(now + later * 10):
                pass
        assert values_of(store, "count") == list(range(1, device.sent + 1))
    assert check(folder / "data") == []


def test_on_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capacity = [CAPACITY]

    def room() -> int:
        return capacity[0] - sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    flush = output.flush

    def flush_where_there_is_room(file: Any) -> None:
        file.flush()
        if room() < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(file)

    def make_room() -> None:
        capacity[0] += 4 * BALLAST

    monkeypatch.setattr(output, "flush", flush_where_there_is_room)
    with recorded() as disk:
        disk.free = room
        live(tmp_path, make_room)


ON_TMPFS = """
import sys
from pathlib import Path
from tests.faults import test_full_disk_store as test
folder = Path(sys.argv[1])
ballast = folder / "ballast"
ballast.write_bytes(bytes(4 * test.BALLAST))
test.live(folder, ballast.unlink)
"""


@needs_tmpfs
def test_the_same_on_a_real_file_system_that_is_full(tmp_path: Path) -> None:
    on_tmpfs(tmp_path, 12, ON_TMPFS)
