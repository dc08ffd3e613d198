"""What tests of the spool's file have in common."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from plexus.adapters.buffer.sqlite import SqliteBuffer
from plexus.protocol.batch import Batch
from plexus.testing.contracts.buffer import a_batch, every

LARGE = 10_000_000
"""A bound that no test reaches."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def kept(path: Path) -> list[Batch]:
    """What is in a closed spool."""
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        return every(buffer)


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A process of its own that has a spool's parts at hand."""
    head = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from plexus.adapters.buffer.sqlite import SqliteBuffer\n"
        "from plexus.domain.errors import BufferFault\n"
        "from plexus.testing.contracts.buffer import a_batch\n"
        "path = Path(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", head + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def filled(path: Path, count: int = 40) -> list[Batch]:
    """A closed spool of batches that do not shrink when they are packed: a few pages each."""
    batches = [a_batch(n, body=os.urandom(6_000)) for n in range(1, count + 1)]
    with closing(SqliteBuffer(path, LARGE)) as buffer:
        buffer.append(batches)
    return batches


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
