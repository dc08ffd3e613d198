"""A real file system that gets full: a small tmpfs in a name space of its own (Linux, `unshare`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

needs_tmpfs = pytest.mark.skipif(
    not os.environ.get("FULL_DISK_TMPFS"),
    reason="mounts a file system where FULL_DISK_TMPFS=1 asks for it, as `make test-faults` does for root",
)

_MOUNTED = 'mkdir -p "$1" && mount -t tmpfs -o size="$2" none "$1" && exec "$3" -c "$4" "$1"'


def on_tmpfs(folder: Path, mib: int, program: str, timeout_s: float = 100.0) -> None:
    """Run a Python program in a process; `sys.argv[1]` is `folder`, a file system of so many MiB there."""
    command = ["unshare", "-rm", "sh", "-c", _MOUNTED, "sh", str(folder), f"{mib}m", sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
