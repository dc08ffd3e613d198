"""ISO 8601 as people and servers write it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from plexus.domain.isotime import parse_iso

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T12:00:00Z", NOON),
        ("2026-05-01T12:00:00z", NOON),
        (" 2026-05-01T14:00:00+02:00 ", NOON),
        ("2026-05-01T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-05-01T12:00:00,25+00:00", NOON + timedelta(milliseconds=250)),
        ("2026-05-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123_456)),
        ("2026-05-01T12:00:00.000001-00:30", NOON + timedelta(minutes=30, microseconds=1)),
        ("2026-05-01T12:00:00", NOON.replace(tzinfo=None)),
        ("2026-05-01", NOON.replace(hour=0, tzinfo=None)),
    ],
)
def test_a_moment_is_read(text: str, expected: datetime) -> None:
    assert parse_iso(text) == expected


@pytest.mark.parametrize("text", ["", "Z", "noon", "2026-13-01T00:00:00Z", "1746100800"])
def test_what_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_iso(text)
