"""An embedded store with a few days in it, and the files that they are sealed into."""

from __future__ import annotations

from pathlib import Path

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.embedded.inside import DAY_NS
from plexus.testing.contracts.store.suite import NS_PER_MS, T0_MS, submission

T0_NS = T0_MS * NS_PER_MS
DAY_MS = 86_400_000
NOW = T0_NS + 3 * DAY_NS


def days(store: EmbeddedStore) -> None:
    """One metric of its own a day, and one that goes on."""
    for day in range(4):
        store.commit([submission((f"day{day}", day * DAY_MS, day), ("rpm", day * DAY_MS, day))])


def parquet(folder: Path, kind: str = "*") -> list[Path]:
    """The sealed files of the store in `folder / "data"`."""
    return sorted(folder.glob(f"data/history/{kind}/day=*/*.parquet"))
