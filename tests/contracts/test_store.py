"""Both stores keep the contract."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from plexus.adapters.store.embedded import EmbeddedStore
from plexus.adapters.store.memory import MemoryStore
from plexus.ports.store import Store
from plexus.testing.contracts.store import StoreContract


class TestMemoryStore(StoreContract):
    def make(self) -> Store:
        return MemoryStore()


class TestEmbeddedStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> Store:
        return EmbeddedStore(Path(tempfile.mkdtemp(dir=self.directory)))
