"""The project's own extensions (protocol page, section 9): offered, answered, and used only when both name them.

Offered as a map of name to highest version in `device_auth`, or as `batch=1,columnar=1` in a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

HEADER = "x-plexus-ext"

BATCH = "batch"
ANY_METRIC = "any_metric"
NON_FINITE = "non_finite"
PRECISION = "precision"
COLUMNAR = "columnar"
CLOCK = "clock"
GAPS = "gaps"
"""A named batch may declare losses: `"gaps":[{"reason","count","first_ms","last_ms"}]` beside `points` and `batch`."""
RESUME = "resume"
"""Live streams: a cursor in each frame, `?cursor=` to go on right after it. Offered by a reader, not a device."""

Features = frozenset[str]
"""Names of the extensions that both ends agreed on."""

NO_FEATURES: Features = frozenset()

DEVICE_OFFERS: Mapping[str, int] = {
    ANY_METRIC: 1,
    BATCH: 1,
    CLOCK: 1,
    COLUMNAR: 1,
    GAPS: 1,
    NON_FINITE: 1,
    PRECISION: 1,
}
GATEWAY_OFFERS: Mapping[str, int] = DEVICE_OFFERS


def parse_map(raw: Any) -> dict[str, int]:
    """An `ext` object as name to version; what is not of that form is passed over, as unknown things are."""
    if not isinstance(raw, Mapping):
        return {}
    return {
        name: version
        for name, version in raw.items()
        if isinstance(name, str) and isinstance(version, int) and not isinstance(version, bool) and version > 0
    }


def parse_header(raw: str | None) -> dict[str, int]:
    """The same from a header's text."""
    pairs: dict[str, int] = {}
    for item in (raw or "").split(","):
        name, _, version = item.strip().partition("=")
        if name and version.isascii() and version.isdigit() and len(version) < 6:
            pairs[name] = int(version)
    return parse_map(pairs)


def format_header(offers: Mapping[str, int]) -> str:
    """A header's text for an offer or an answer."""
    return ",".join(f"{name}={version}" for name, version in sorted(offers.items()))


def agree(offered: Mapping[str, int], ours: Mapping[str, int]) -> dict[str, int]:
    """What to answer to an offer: the common names, each with the lower version."""
    return {name: min(version, offered[name]) for name, version in ours.items() if name in offered}


def features(agreed: Iterable[str]) -> Features:
    """The agreed names as a set."""
    return frozenset(agreed)
