"""The keyring port: who a key is and what it may do."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from plexus.domain.names import KEY_PREFIX

SCOPES = ("read", "write", "commands", "admin")
"""read; write: send, and for its own source declare and receive commands; commands: send them to others; admin."""

KEY_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_RANDOM_CHARS = 40
KEY_CHECK_CHARS = 6


def key_checksum(random_part: str) -> str:
    """The last six characters of a minted key: CRC-32 of its random part, in base 62."""
    rest = zlib.crc32(random_part.encode())
    digits = []
    for _ in range(KEY_CHECK_CHARS):
        rest, digit = divmod(rest, len(KEY_ALPHABET))
        digits.append(KEY_ALPHABET[digit])
    return "".join(reversed(digits))


def is_minted_key(text: str) -> bool:
    """Whether this is, by form and checksum, a key that a keyring made: `plx_`, 40 random characters, 6 of checksum.

    For whoever looks for leaked or mistyped keys without a keyring at hand. A key taken from `secret` need not be one.
    """
    body = text[len(KEY_PREFIX) :]
    if not text.startswith(KEY_PREFIX) or len(body) != KEY_RANDOM_CHARS + KEY_CHECK_CHARS:
        return False
    random_part, check = body[:KEY_RANDOM_CHARS], body[KEY_RANDOM_CHARS:]
    return all(char in KEY_ALPHABET for char in random_part) and check == key_checksum(random_part)


@attrs.frozen
class KeyInfo:
    """A key without its secret.

    Attributes:
        key_id: short public id, by which it is listed and revoked.
        org: the organisation it belongs to.
        name: what its owner calls it.
        scopes: of SCOPES.
        source_id: the only source it may act for, None for all of the organisation.
        created_ms, revoked_ms: milliseconds since 1970 UTC; `revoked_ms` None while it was not revoked.
        expires_ms: when it ends by itself, the same; None for never.
    """

    key_id: str
    org: str
    name: str
    scopes: frozenset[str]
    source_id: str | None = None
    created_ms: float = 0.0
    revoked_ms: float | None = None
    expires_ms: float | None = None

    def lives(self, now_ms: float) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)

    def shown(self) -> dict[str, Any]:
        """What is said of a key that lives, to people and programs, as JSON has it; never its text."""
        return {
            "key_id": self.key_id,
            "org": self.org,
            "name": self.name,
            "scopes": sorted(self.scopes),
            "source_id": self.source_id,
            "created_ms": self.created_ms,
            "expires_ms": self.expires_ms,
        }

    def allows(self, scope: str, source_id: str | None = None) -> bool:
        """Whether this key may do `scope` for `source_id`. Deny by default."""
        if self.revoked_ms is not None or scope not in self.scopes:
            return False
        return self.source_id is None or source_id is None or self.source_id == source_id


class Keyring(Protocol):
    """Keeps SHA-256 of keys, never keys. Every method may be called from any thread.

    Contract:
    - a key is shown once, by `create`, and is durable when that returns;
    - `find` compares in constant time, and knows at once what any process created or revoked, and what is over;
    - a key that was revoked or is over stays in the list and never lives again;
    - `generation` changes whenever any process changed a key, and only then, so that an open socket's key can be
      looked at again cheaply; that a key is over by now changes nothing;
    - a failure of the storage is a StoreError naming the file.
    """

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
        """Make a key (or take `secret` as one); returns its text and what it is.

        A `secret` that is a live key already stays what it is, whatever else is asked for: a gateway may hand over its
        bootstrap key at every start. Raises ConfigurationError for an unknown scope or none, an empty org or name, a
        source id that is none, a time that is over, a secret that is too short, and one that was revoked or is over.
        """
        ...

    def find(self, secret: str) -> KeyInfo | None:
        """What this key is, None if it is unknown, revoked or over."""
        ...

    def list(self) -> list[KeyInfo]:
        """All keys, oldest first, revoked ones too."""
        ...

    def revoke(self, key_id: str) -> bool:
        """Revoke a key by its id; False if there is no live one."""
        ...

    def rename(self, org: str, source_id: str, new: str) -> None:
        """A source has another name now: the keys that are limited to it follow."""
        ...

    def generation(self) -> int:
        """A number that changes with every change of the keys, by this process or another."""
        ...

    def snapshot(self, folder: Path) -> None:
        """Write a consistent copy into a folder that is there. What is in memory alone raises StoreError."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
