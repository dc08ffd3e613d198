"""Keys as secrets: how one is made, what is kept of it, and how one that is shown is compared with what is kept."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Iterable, Sequence

import attrs

from plexus.domain.errors import ConfigurationError
from plexus.domain.names import KEY_PREFIX, check_bootstrap_key, is_gateway_source_id
from plexus.ports.keyring import KEY_ALPHABET, KEY_RANDOM_CHARS, SCOPES, KeyInfo, key_checksum

_PREFIX_BYTES = 8


def mint() -> str:
    """A new key: 40 characters of base 62 are 238 random bits."""
    random_part = "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_RANDOM_CHARS))
    return f"{KEY_PREFIX}{random_part}{key_checksum(random_part)}"


def digest(secret: str) -> bytes:
    """What is kept of a key. Plain SHA-256 is enough for a secret that nobody can guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def describe(
    org: str, name: str, scopes: Sequence[str], source_id: str | None, now_ms: float, expires_ms: float | None
) -> KeyInfo:
    """A new key's public half; raises ConfigurationError for what the port refuses."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        wrong = f"unknown: {', '.join(unknown)}" if unknown else "none was given"
        raise ConfigurationError(f"a key needs scopes of {', '.join(SCOPES)}; {wrong}")
    if not org or not name:
        raise ConfigurationError("a key needs an organisation and a name that are not empty")
    if source_id is not None and not is_gateway_source_id(source_id):
        raise ConfigurationError(f"the key's source {source_id!r} is not a valid source id")
    if expires_ms is not None and not now_ms < expires_ms < math.inf:
        raise ConfigurationError("a key's end must lie in the future")
    return KeyInfo(secrets.token_hex(6), org, name, frozenset(scopes), source_id, now_ms, None, expires_ms)


def chosen(secret: str | None) -> str:
    """The text of the new key: the caller's, checked, or a minted one."""
    return mint() if secret is None else check_bootstrap_key(secret, "the caller")


def dead_error(info: KeyInfo) -> ConfigurationError:
    """The refusal of a secret that was a key once."""
    how = "was revoked" if info.revoked_ms is not None else "is over"
    return ConfigurationError(
        f"this secret is the key {info.key_id} ({info.name!r}), which {how}; such a key never lives again: "
        "choose a new one"
    )


@attrs.frozen
class LiveKeys:
    """The keys that are not revoked by the first bytes of their digests; the whole is compared in constant time."""

    _by_prefix: dict[bytes, list[tuple[bytes, KeyInfo]]]

    @classmethod
    def of(cls, kept: Iterable[tuple[bytes, KeyInfo]]) -> LiveKeys:
        """An index of what is not revoked among these."""
        by_prefix: dict[bytes, list[tuple[bytes, KeyInfo]]] = {}
        for key_digest, info in kept:
            if info.revoked_ms is None:
                by_prefix.setdefault(key_digest[:_PREFIX_BYTES], []).append((key_digest, info))
        return cls(by_prefix)

    def find(self, secret: str, now_ms: float) -> KeyInfo | None:
        """The key with this text that lives now."""
        shown = digest(secret)
        for key_digest, info in self._by_prefix.get(shown[:_PREFIX_BYTES], ()):
            if hmac.compare_digest(key_digest, shown):
                return info if info.lives(now_ms) else None
        return None
