"""kill -9 of a real process that commits: what it was told is stored is there, once."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import plexus
from plexus.adapters.store.embedded import EmbeddedStore
from plexus.domain.errors import StoreError
from plexus.testing.contracts.store.suite import named, submission, values_of

ROOT = Path(plexus.__file__).parents[1]

# A device that sends batch after batch, from the first one that it has no receipt for, and says so after each receipt.
CHILD = """
import sys
from pathlib import Path
from plexus.adapters.store.embedded import EmbeddedStore
from plexus.testing.contracts.store.suite import named, submission
store, n = EmbeddedStore(Path(sys.argv[1])), int(sys.argv[2])
while True:
    filling = submission(*(("filling", n, f"{n} {i}") for i in range(n % 300)))
    receipt, _ = store.commit([submission(("count", n, n), batch=named(n)), filling])
    assert receipt.verdict in ("store", "duplicate"), receipt
    print(n, flush=True)
    n += 1
"""


def test_what_was_acknowledged_survives_kill_9_once(tmp_path: Path) -> None:
    acknowledged = 0
    for lines in (1, 40, 173, 7):
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(acknowledged + 1)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                for _ in range(lines):
                    acknowledged = int(child.stdout.readline())
                with pytest.raises(StoreError, match="in use by another gateway"):
                    EmbeddedStore(tmp_path)
            finally:
                child.kill()
            # It may have said more before it died.
            acknowledged = max([acknowledged, *(int(line) for line in child.stdout if line.endswith("\n"))])
        with closing(EmbeddedStore(tmp_path)) as store:
            assert store.damage == ()
            stored = values_of(store, "count")
            assert stored == list(range(1, len(stored) + 1))
            assert acknowledged <= len(stored) <= acknowledged + 1
            repeat = store.commit([submission(("count", n, n), batch=named(n)) for n in range(1, acknowledged + 1)])
            assert {receipt.verdict for receipt in repeat} == {"duplicate"}
