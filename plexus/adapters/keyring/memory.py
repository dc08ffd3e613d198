"""A keyring in memory: for tests and gateways that are gone with their process. The model of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from plexus.adapters.keyring.secret import LiveKeys, chosen, dead_error, describe, digest
from plexus.domain.errors import StoreError
from plexus.ports.keyring import KeyInfo


def _wall_ms() -> float:
    return time.time() * 1000.0


class MemoryKeyring:
    """Keys of one process. `now_ms` stamps them, milliseconds since 1970 UTC."""

    def __init__(self, now_ms: Callable[[], float] = _wall_ms) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._kept: dict[bytes, KeyInfo] = {}
        self._live = LiveKeys.of(())
        self._generation = 0

    def create(
        self,
        org: str,
        name: str,
        scopes: Sequence[str],
        *,
        source_id: str | None = None,
        secret: str | None = None,
        expires_ms: float | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key (or take `secret` as one); returns its text and what it is."""
        info = describe(org, name, scopes, source_id, self._now_ms(), expires_ms)
        text = chosen(secret)
        with self._lock:
            known = self._kept.get(digest(text))
            if known is not None and not known.lives(self._now_ms()):
                raise dead_error(known)
            if known is not None:
                return text, known
            self._kept[digest(text)] = info
            self._changed()
        return text, info

    def find(self, secret: str) -> KeyInfo | None:
        """What this key is, None if it is unknown, revoked or over."""
        return self._live.find(secret, self._now_ms())

    def list(self) -> list[KeyInfo]:
        """All keys, oldest first."""
        with self._lock:
            return list(self._kept.values())

    def revoke(self, key_id: str) -> bool:
        """Revoke a key by its id; False if there is no live one."""
        with self._lock:
            for key_digest, info in self._kept.items():
                if info.key_id == key_id and info.revoked_ms is None:
                    self._kept[key_digest] = attrs.evolve(info, revoked_ms=self._now_ms())
                    self._changed()
                    return True
        return False

    def rename(self, org: str, source_id: str, new: str) -> None:
        """The keys that are limited to a source follow it."""
        with self._lock:
            followers = [kept for kept, info in self._kept.items() if (info.org, info.source_id) == (org, source_id)]
            for key_digest in followers:
                self._kept[key_digest] = attrs.evolve(self._kept[key_digest], source_id=new)
            if followers:
                self._changed()

    def generation(self) -> int:
        """How often the keys changed."""
        return self._generation

    def snapshot(self, folder: Path) -> None:  # noqa: ARG002 - the port's shape
        """There is nothing to copy from."""
        raise StoreError("what is kept in memory has no file to copy")

    def close(self) -> None:
        """Nothing to let go of."""

    def _changed(self) -> None:
        self._live = LiveKeys.of(self._kept.items())
        self._generation += 1
