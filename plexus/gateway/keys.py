"""Making, rotating and revoking keys, each with an entry in the audit trail; what the routes and `plexus keys` do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from plexus.domain.errors import StoreError
from plexus.ports.audit import Audit, AuditEntry
from plexus.ports.keyring import KeyInfo, Keyring


class KeyDesk:
    """Blocks as long as the disk does. `wall_ns` is nanoseconds since 1970 UTC. Raises StoreError.

    `actor` is the id of the key that asks, or `plexus.ports.audit.LOCAL`.
    """

    def __init__(self, keyring: Keyring, audit: Audit, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._keyring = keyring
        self._audit = audit
        self._wall_ns = wall_ns

    def create(
        self,
        actor: str,
        org: str,
        name: str,
        scopes: Sequence[str],
        *,
        source_id: str | None = None,
        expires_ms: float | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key; returns its text, which is nowhere else, and what it is. Raises ConfigurationError."""
        text, info = self._keyring.create(org, name, scopes, source_id=source_id, expires_ms=expires_ms)
        self._note_new(actor, "key.create", info)
        return text, info

    def hand_over(self, actor: str, org: str, name: str, scopes: Sequence[str], secret: str) -> None:
        """See to it that this secret is a key. Raises ConfigurationError."""
        if self._keyring.find(secret) is None:
            _text, info = self._keyring.create(org, name, scopes, secret=secret)
            self._note_new(actor, "key.create", info)

    def rotate(self, actor: str, old: KeyInfo, expires_ms: float | None) -> tuple[str, KeyInfo]:
        """Make a key with the same rights beside a live one, which stays live until it is revoked."""
        text, info = self._keyring.create(
            old.org, old.name, sorted(old.scopes), source_id=old.source_id, expires_ms=expires_ms
        )
        self._note_new(actor, "key.rotate", info, replaces=old.key_id)
        return text, info

    def revoke(self, actor: str, info: KeyInfo) -> bool:
        """Revoke a key at once and for ever; False if it is not live."""
        if not self._keyring.revoke(info.key_id):
            return False
        self._note(actor, "key.revoke", info, {"name": info.name})
        return True

    def find(self, key_id: str) -> KeyInfo | None:
        """A key by its id, revoked ones too."""
        return next((info for info in self._keyring.list() if info.key_id == key_id), None)

    def live(self, info: KeyInfo) -> bool:
        """Whether a key lives now."""
        return info.lives(self._wall_ns() / 1e6)

    def _note_new(self, actor: str, action: str, info: KeyInfo, **more: str) -> None:
        detail: dict[str, object] = {
            "name": info.name,
            "scopes": sorted(info.scopes),
            "source_id": info.source_id,
            "expires_ms": info.expires_ms,
            **more,
        }
        try:
            self._note(actor, action, info, detail)
        except StoreError:
            # A key that nobody can be asked about is none.
            self._keyring.revoke(info.key_id)
            raise

    def _note(self, actor: str, action: str, info: KeyInfo, detail: dict[str, object]) -> None:
        self._audit.record(AuditEntry(self._wall_ns() / 1e6, info.org, actor, action, info.key_id, detail))
