"""The embedded engine: SQLite for truth, DuckDB for questions, one directory, one process.

Invariants:
- a group that `commit` acknowledged is one row of the journal, in one transaction with what it did to its streams,
  flushed to the disk before `commit` returns; a group that failed left nothing, on the disk or in memory;
- the journal is read at start only: questions are answered from memory, and never wait for the disk or a commit's
  flush;
- everything in memory (newest points, latest values, names, streams) is made from the journal again at start;
- one gateway holds a directory: a second one is refused.

Files in the data directory, mode 0600 in a directory of mode 0700:
- `journal.db`, and its `-wal`: see `journal`.

Modules: `record` is what one journal row holds; `journal` the SQLite file; `streams` the batch names; `catalogue` the
names, latest values and sources; `hot` the DuckDB table; `values` how a value lies in it; `queries` the questions;
`store` puts them together.
"""

from __future__ import annotations

from plexus.adapters.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore"]
