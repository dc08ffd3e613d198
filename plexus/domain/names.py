"""Names and the rules they obey (protocol page, section 1). Pure checks; each says what to write instead."""

from __future__ import annotations

import re

from plexus.domain.errors import ConfigurationError, ProtocolError

SOURCE_ID_RULE = r"^[a-z0-9][a-z0-9_-]{1,62}$"
"""What this SDK lets a device call itself."""

GATEWAY_SOURCE_ID_RULE = r"^[a-z0-9][a-z0-9._-]*$"
"""What a gateway accepts from any release: dots and single characters too."""

MAX_SOURCE_ID_BYTES = 256
MAX_ORG_BYTES = 64
MAX_METRIC_BYTES = 512
MAX_TAGS = 16
KEY_PREFIX = "plx_"
MIN_BOOTSTRAP_KEY_CHARS = 32

_sdk_source = re.compile(SOURCE_ID_RULE.replace("$", r"\Z"))
_gateway_source = re.compile(GATEWAY_SOURCE_ID_RULE.replace("$", r"\Z"))


def check_source_id(source_id: str) -> str:
    """Return `source_id` if a device may declare it; raise ConfigurationError with the rule if not."""
    if not isinstance(source_id, str) or not _sdk_source.match(source_id):
        raise ConfigurationError(
            f"source_id {source_id!r} is not valid: use 2 to 63 lower-case letters, digits, '-' or '_', "
            f"starting with a letter or digit (rule {SOURCE_ID_RULE})"
        )
    return source_id


def is_gateway_source_id(source_id: object) -> bool:
    """Whether a gateway takes this as a source id."""
    return (
        isinstance(source_id, str) and len(source_id) <= MAX_SOURCE_ID_BYTES and bool(_gateway_source.match(source_id))
    )


def is_org_name(org: str) -> bool:
    """Whether an organisation may be called so."""
    return len(org) <= MAX_ORG_BYTES and bool(_gateway_source.match(org))


def check_gateway_source_id(source_id: object, field: str = "source_id") -> str:
    """Return `source_id` as a gateway takes it; raise ProtocolError naming `field` if not."""
    if isinstance(source_id, str) and is_gateway_source_id(source_id):
        return source_id
    raise ProtocolError(
        f"{field} must match {GATEWAY_SOURCE_ID_RULE} and be at most {MAX_SOURCE_ID_BYTES} bytes", field=field
    )


def metric_fault(metric: object) -> str | None:
    """Why `metric` cannot be a metric's name, or None if it can."""
    if not isinstance(metric, str):
        return "metric must be a string"
    if not metric:
        return "metric must not be empty"
    if len(metric.encode("utf-8", "surrogatepass")) > MAX_METRIC_BYTES:
        return f"metric must be at most {MAX_METRIC_BYTES} bytes"
    return None


def check_bootstrap_key(key: str, origin: str) -> str:
    """Return a gateway's first key if it can serve as one; `origin` says in the error where it came from."""
    if not key.startswith(KEY_PREFIX) or len(key) < MIN_BOOTSTRAP_KEY_CHARS:
        raise ConfigurationError(
            f"the key from {origin} must start with {KEY_PREFIX!r} and have at least "
            f"{MIN_BOOTSTRAP_KEY_CHARS} characters"
        )
    return key
