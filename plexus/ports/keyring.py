"""The keyring port: who a key is and what it may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

SCOPES = ("read", "write", "commands", "admin")
"""read; write: send, and for its own source declare and receive commands; commands: send them to others; admin."""


@attrs.frozen
class KeyInfo:
    """A key without its secret.

    Attributes:
        key_id: short public id, by which it is listed and revoked.
        org: the organisation it belongs to.
        name: what its owner calls it.
        scopes: of SCOPES.
        source_id: the only source it may act for, None for all of the organisation.
        created_ms, revoked_ms: milliseconds since 1970 UTC; `revoked_ms` None while it is live.
    """

    key_id: str
    org: str
    name: str
    scopes: frozenset[str]
    source_id: str | None = None
    created_ms: float = 0.0
    revoked_ms: float | None = None

    def allows(self, scope: str, source_id: str | None = None) -> bool:
        """Whether this key may do `scope` for `source_id`. Deny by default."""
        if self.revoked_ms is not None or scope not in self.scopes:
            return False
        return self.source_id is None or source_id is None or self.source_id == source_id


class Keyring(Protocol):
    """Keeps SHA-256 of keys, never keys.

    Contract: a key is shown once, by `create`; `find` compares in constant time; `generation` changes whenever any
    process created or revoked a key, so that an open socket's key can be looked at again cheaply.
    """

    def create(
        self,
        org: str,
        name: str,
        scopes: Sequence[str],
        *,
        source_id: str | None = None,
        secret: str | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key (or take `secret` as one); returns its text and what it is.

        Raises ConfigurationError for an unknown scope.
        """
        ...

    def find(self, secret: str) -> KeyInfo | None:
        """What this key is, None if it is unknown or revoked."""
        ...

    def list(self) -> list[KeyInfo]:
        """All keys, oldest first, revoked ones too."""
        ...

    def revoke(self, key_id: str) -> bool:
        """Revoke a key by its id; False if there is no live one."""
        ...

    def generation(self) -> int:
        """A number that changes with every change of the keys, by this process or another."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
