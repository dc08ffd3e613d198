"""Who asks, and whether they may. The gate and every route decide by these two; both deny by default."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from plexus.domain.errors import StoreError
from plexus.gateway.asgi import HttpError
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.keyring import KeyInfo, Keyring

KEY_HEADER = b"x-api-key"

logger = logging.getLogger("plexus.gateway")


def identify(keyring: Keyring, secret: str | None) -> KeyInfo:
    """The key that this text is.

    Raises HttpError 401 when it is none, unknown or revoked, and 503 when the keyring cannot be read.
    """
    if not secret:
        raise HttpError(401, "an API key is required, in the header x-api-key")
    try:
        key = keyring.find(secret)
    except StoreError as exc:
        logger.error("keys cannot be checked: %s", exc)  # noqa: TRY400 - the message says it all
        raise HttpError(503, "keys cannot be checked just now; try again") from exc
    if key is None:
        raise HttpError(401, "the API key is unknown or revoked")
    return key


def require(key: KeyInfo, scope: str, source_id: str | None = None) -> None:
    """Return when `key` may do `scope` (for `source_id`, when one is named); raises HttpError 403 when not."""
    if not key.allows(scope):
        raise HttpError(403, f"this key lacks the scope {scope!r}")
    if not key.allows(scope, source_id):
        raise HttpError(403, f"this key is limited to the source {key.source_id}")


def require_operator(key: KeyInfo) -> None:
    """Return when `key` may manage the gateway itself: other organisations, backups; raises HttpError 403 when not."""
    require(key, "admin")
    if key.org != DEFAULT_ORG or key.source_id is not None:
        raise HttpError(403, f"this needs an admin key of the organisation {DEFAULT_ORG}, for all of its sources")


def require_grant(key: KeyInfo, scopes: Sequence[str], source_id: str | None, expires_ms: float | None) -> None:
    """Return when `key` may give away these rights: none that it has not itself. Raises HttpError 403 when not."""
    lacking = sorted(set(scopes) - key.scopes)
    if lacking:
        raise HttpError(403, f"this key lacks the scope {lacking[0]!r}, and cannot give it to another")
    if key.source_id not in (None, source_id):
        raise HttpError(403, f"this key is limited to the source {key.source_id}, and so are the keys that it makes")
    if (expires_ms or math.inf) > (key.expires_ms or math.inf):
        raise HttpError(403, "this key ends before that, and so do the keys that it makes")
