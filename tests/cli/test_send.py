from __future__ import annotations

from typing import Any

import pytest

from plexus.cli.send import read_value
from plexus.gateway import Gateway
from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.4", 12.4),
        ("3200", 3200),
        ("-1e3", -1000.0),
        ("true", True),
        ("RUNNING", "RUNNING"),
        ('"01234"', "01234"),
        ("01234", "01234"),
        ('{"to": "auto"}', {"to": "auto"}),
        ("[1,2]", [1, 2]),
        ("null", "null"),
        ("NaN", "NaN"),
        ("", ""),
    ],
)
def test_what_is_json_is_sent_as_that_and_all_else_as_text(text: str, value: Any) -> None:
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


def test_a_reading_is_stored_when_the_command_ends(plexus: Command, gateway: Gateway) -> None:
    assert plexus("send", "battery.voltage", "12.5", "--source", "drone-01", "--tag", "cell=3").code == 0
    assert plexus("latest", "drone-01").out.splitlines()[1].split() == ["battery.voltage", "12.5"]


def test_negative_numbers_are_values_and_no_options(plexus: Command, gateway: Gateway) -> None:
    assert plexus("send", "air.temperature", "-3.5", "--source", "drone-01").code == 0
    assert "-3.5" in plexus("latest", "drone-01").out


def test_a_source_that_cannot_be_is_one_line(plexus: Command, gateway: Gateway) -> None:
    ended = plexus("send", "m", "1", "--source", "Not A Source")
    assert ended.code == 1
    assert "source_id 'Not A Source' is not valid" in ended.err


def test_what_cannot_be_delivered_now_is_kept_and_goes_with_the_next(
    plexus: Command, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_URL", "http://127.0.0.1:1")
    ended = plexus("send", "m", "1", "--source", "drone-01", "--timeout", "0.2")
    assert ended.code == 1
    assert "kept on this machine" in ended.err
    monkeypatch.setenv("PLEXUS_URL", gateway.url)
    assert plexus("send", "m", "2", "--source", "drone-01").code == 0
    rows = plexus("query", "drone-01", "m", "--last", "5m").out.splitlines()[1:]
    assert [row.split()[-1] for row in rows] == ["1", "2"]


def test_a_key_that_is_refused_is_said_without_it(
    plexus: Command, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_canary_of_this_test")
    ended = plexus("send", "m", "1", "--source", "drone-01", "--timeout", "0.2")
    assert ended.code == 1
    assert "plx_canary_of_this_test" not in ended.err
