from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.api.refusals import Answer, retry_after_s

NOON = 1_777_636_800.0  # 2026-05-01T12:00:00Z


def _asked(text: str | None) -> float | None:
    return retry_after_s(Answer(429, {} if text is None else {"retry-after": text}, b""), NOON)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Fri, 01 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 01 May 2026 12:00:30 -0000", 30.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_seconds_and_dates_are_understood(text: str | None, seconds: float | None) -> None:
    assert _asked(text) == seconds


@given(st.text(max_size=40))
def test_no_text_makes_it_fail(text: str) -> None:
    asked = _asked(text)
    assert asked is None or asked >= 0.0
