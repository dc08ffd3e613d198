"""The embedded engine: SQLite for truth, Parquet for history, DuckDB for questions; one directory, one process.

Invariants:
- a group that `commit` acknowledged is one row of the journal, in one transaction with what it did to its streams,
  flushed to the disk before `commit` returns; a group that failed left nothing, on the disk or in memory;
- a point is in the journal's rows above the cut, or in one file that the manifest names, and one transaction moves
  both: nothing is there twice or missing, wherever a kill or a power cut comes;
- a question works on one cut, files and hot tables of one moment; a file that was let go of stays until nobody looks
  at it;
- a file never changes, and is flushed with its name before the manifest has it. What the manifest does not name is
  removed at start; what is named and missing or damaged costs its own points and nothing else;
- everything in memory is made at start from the tables and the rows above the cut; no file is read for it;
- a commit never waits for housekeeping longer than one short transaction takes, nor for a question;
- one gateway holds a directory: a second one is refused.

Files in the data directory, mode 0600 in directories of mode 0700:
- `journal.db`, and its `-wal`: see `journal` and `schema`;
- `history/`: see `files`.

Modules, on the way in: `record` is what one journal row holds; `journal` the SQLite file, `schema` its tables;
`streams` the batch names; `catalogue` the names, latest values and sources; `newest` what waits between commit,
question and history; `arrow`, `parts` and `values` how points lie in columns; `hot` the DuckDB tables. On the way out:
`files` the Parquet files, `manifest` and `shelf` which there are and who looks at them, `tolerant` a reader that
survives damage, `queries` the questions, `replaying` the order of commits. Upkeep: `housekeeping` says what is next, of
`sealing`, `merging` and `retention`; `removal`, `renaming` and `snapshot` are asked for; `opening` is the start,
`checking` a look at a store that nobody has open; `inside` is what they all work on. `store` puts them together.
"""

from __future__ import annotations

from plexus.adapters.store.embedded.inside import Upkeep
from plexus.adapters.store.embedded.store import EmbeddedStore

__all__ = ["EmbeddedStore", "Upkeep"]
