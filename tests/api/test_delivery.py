"""The delivery ledger as a reader gets it: of this gateway, and of older ones that say less."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plexus.api import answers
from plexus.domain.errors import ProtocolError
from plexus.domain.loss import Loss
from plexus.domain.source import ClockReport, Delivery, Stream

OLDER: dict[str, Any] = {
    "source_id": "rig",
    "lost": 7,
    "gaps": [{"reason": "buffer_full", "count": 7, "first_ms": 10.5, "last_ms": None}],
    "batches": 4,
    "duplicates": 3,
    "gaps_refused": 2,
    "forks": 1,
}
NEWER: dict[str, Any] = {
    **OLDER,
    "dead_letters": 5,
    "streams": [{"stream": "ab", "watermark": 9, "last_heard_ms": 12}],
    "clock": {"offset_ms": -1.5, "error_ms": 0.5, "told_ms": 11},
}


def _read(raw: dict[str, Any]) -> Delivery:
    return answers.delivery(json.dumps(raw).encode())


def test_all_of_it_is_read() -> None:
    assert _read(NEWER) == Delivery(
        "rig",
        7,
        [Loss("buffer_full", 7, 10.5, None)],
        4,
        3,
        2,
        1,
        dead_letters=5,
        streams=[Stream("ab", 9, 12)],
        clock=ClockReport(-1.5, 0.5, 11),
    )


def test_what_an_older_gateway_does_not_say_is_as_if_there_were_none() -> None:
    read = _read(OLDER)
    assert (read.batches, read.dead_letters, list(read.streams), read.clock) == (4, 0, [], None)


def test_a_clock_that_was_never_told_is_none() -> None:
    assert _read({**NEWER, "clock": None}).clock is None


def test_what_a_later_gateway_says_more_is_passed_over() -> None:
    streams = [{"stream": "ab", "watermark": 9, "last_heard_ms": 12, "colour": "red"}]
    assert _read({**NEWER, "streams": streams, "more": 1}) == _read(NEWER)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batches": "4"}, "batches must be a whole number"),
        ({"dead_letters": 1.5}, "dead_letters must be a whole number"),
        ({"gaps": {}}, "gaps must be an array"),
        ({"gaps": [5]}, "must be an object"),
        ({"streams": [{"stream": "ab", "last_heard_ms": 1}]}, "watermark is missing"),
        ({"clock": {"offset_ms": "1", "error_ms": 1, "told_ms": 1}}, "offset_ms must be a number"),
    ],
)
def test_what_is_of_another_type_names_itself(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        _read({**NEWER, **change})
    assert says in str(refused.value)
