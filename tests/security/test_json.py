"""JSON that readers are known to trip over: each has one result that is written down here, and none is a 500."""

from __future__ import annotations

import json

import pytest

from tests.security.target import Target

DEEP = 100_000


def _point(value: str, name: str = "a.b") -> bytes:
    return (
        b'{"source_id":"rig-10","points":[{"class":"metric","metric":"'
        + name.encode()
        + b'","value":'
        + value.encode()
        + b"}]}"
    )


VALUES = {
    "2^53-1": ("9007199254740991", 9007199254740991),
    "2^53": ("9007199254740992", 9007199254740992),
    "2^53+1": ("9007199254740993", 9007199254740993),
    "2^63-1": ("9223372036854775807", 9223372036854775807),
    "-2^63": ("-9223372036854775808", -9223372036854775808),
    "bool": ("true", True),
    "negative zero": ("-0.0", -0.0),
    "smallest": ("5e-324", 5e-324),
    "duplicate keys": ('{"x":1,"x":2}', {"x": 2}),
}
"""What is taken, and how it comes back."""

REFUSED = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "1e999": "1e999",
    "2^64": "18446744073709551616",
    "5,000 digits": "9" * 5_000,
    "null": "null",
    "leading zero": "01",
    "lone surrogate": '"\\ud800"',
    "deep array": "[" * DEEP + "]" * DEEP,
    "deep object": '{"a":' * DEEP + "1" + "}" * DEEP,
    "nothing": "",
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_a_value_comes_back_as_it_went_in(target: Target, name: str) -> None:
    text, expected = VALUES[name]
    metric = "v." + name.replace(" ", "_").replace("^", "").replace("+", "p")
    answer = target.request("POST", "/ingest", content=_point(text, metric))
    assert answer.status_code == 200, answer.text
    found = target.get("/v1/sources/rig-10/metrics/latest")["metrics"][metric]
    assert json.dumps(found) == json.dumps(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_a_400_that_says_so(target: Target, name: str) -> None:
    answer = target.request("POST", "/ingest", content=_point(REFUSED[name]))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_on_a_socket_is_an_error_frame_and_the_socket_stays(target: Target, name: str) -> None:
    raw = target.device("rig-11")
    raw.send(b'{"type":"telemetry","seq":1,"points":[{"metric":"a.b","value":' + REFUSED[name].encode() + b"}]}")
    raw.send(b'{"type":"telemetry","seq":2,"points":[{"metric":"a.b","value":1}]}')
    first = raw.frame()
    assert (first["type"], first.get("seq", 1)) == ("error", 1)
    assert raw.frame() == {"type": "telemetry_ack", "seq": 2}


@pytest.mark.parametrize("path", ["/api/runs", "/api/sources", "/v1/sources/rig-10/commands"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b'{"name":NaN}',
        b'{"name":"\\ud800"}',
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b"[" * DEEP,
        b'{"metadata":' + b"9" * 5_000 + b"}",
        b'{"name":"x","started_at":1e999}',
        b'{"name":true,"command":true,"slug":true}',
    ],
    ids=range(13),
)
def test_a_body_of_the_data_api_that_is_none_is_a_4xx(target: Target, path: str, body: bytes) -> None:
    headers = {"x-api-key": target.key, "content-type": "application/json"}
    answer = target.request("POST", path, content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "first", [b"null", b"[]", b"1", b"{}", b'{"type":1}', b"[" * DEEP, b"\xff", b'{"type":"auth"}']
)
@pytest.mark.parametrize("path", ["/ws/device", "/v1/sources/rig-10/metrics/stream"])
def test_a_first_frame_that_is_none_closes_the_socket_with_a_code(target: Target, path: str, first: bytes) -> None:
    raw = target.socket(path)
    raw.send(first)
    assert raw.close_code() in (1002, 1003, 1007, 1008, 4401)
