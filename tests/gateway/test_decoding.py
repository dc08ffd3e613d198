"""The gateway's decoder and the reference are one decoder: same columns, same faults, same refusals, for any text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexus.domain.errors import ProtocolError
from plexus.gateway import decoding
from plexus.protocol import frames

ARRIVAL_NS = 1_746_969_660_123_456_789
ENVELOPE = frames.Envelope("drone-01", ARRIVAL_NS)

# Pieces of JSON text, so that what no Python value can say (duplicate keys, odd numbers, bad literals) is tried too.
NUMBERS = [
    "0", "-0", "-0.0", "1", "1.0", "1e2", "1E+2", "0.1e1", "1e-400", "1e400", "1e999", "-1e999",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "-9223372036854775808", "-9223372036854775809", "1" * 400, "1" * 5000, "0." + "3" * 400,
    "2.2250738585072011e-308", "0.30000000000000004", "123456789.123456789e-3",
    "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10", "1_000", "--1", "-",
]  # fmt: skip
STAMPS = [
    "0", "-1", "1", "1746969660", "1746969660.5", "999999999999", "999999999999.9", "1000000000000", "1e12",
    "1746969660000", "1746969660000.123", "1746969660000.9999999", "1.746969660000123e12", "9200000000000",
    "9200000000001", "9.2e12", "9.3e12", "-9.3e12", "true", '"1746969660000"', "null", "[]", "1" * 40,
]  # fmt: skip
STRINGS = [
    '""', '"a"', '"motor.rpm"', '"\\u0061"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\ud800x"', '"\\udc00\\ud800"',
    '"\\ud800\\u0041"', '"\\u0000"', '"\x00"', '"\x1f"', '"\x7f"', '"é"', '"日本"', '"😀"', '"\\/"', '"\\x41"',
    '"' + "m" * 128 + '"', '"' + "m" * 129 + '"', '"' + "m" * 512 + '"', '"' + "m" * 513 + '"', '"' + "é" * 256 + '"',
    '"' + "é" * 257 + '"', '"' + "😀" * 128 + '"', '"' + "😀" * 129 + '"', '"NaN"', '"Infinity"', '"unterminated',
]  # fmt: skip
OTHERS = ["true", "false", "null", "{}", "[]", '{"a":1}', "[1,[2,[3]]]", '{"a":{"b":[NaN]}}', "tru", "nul", "'a'", ""]
DEEP = ["[" * depth + "]" * depth for depth in (10, 64, 65, 66, 200, 100_000)] + ['{"a":' * 100_000]
TAGS = [
    "null", "{}", '{"a":"b"}', '{"a":1}', '{"a":null}', '{"a":"b","a":"c"}', '{"a":"b","a":1}', '{"a":1,"a":"b"}', "[]",
    "{" + ",".join(f'"k{i}":"v"' for i in range(16)) + "}", "{" + ",".join(f'"k{i}":"v"' for i in range(17)) + "}",
    "{" + ",".join(f'"k{i % 16}":"v"' for i in range(40)) + "}", '{"\\ud800":"b"}', '{"":""}', '{"a":"b",}',
]  # fmt: skip
SOURCES = [
    "null",
    '"rig-01"',
    '"r"',
    '"RIG"',
    '"../x"',
    '"rig 1"',
    '""',
    "1",
    '"' + "r" * 256 + '"',
    '"' + "r" * 257 + '"',
]
CLASSES = ["null", '"metric"', '"event"', '"Metric"', '""', "1", "true", "[]", '"\\u006detric"']
KEYS = ['"metric"', '"value"', '"timestamp"', '"class"', '"tags"', '"run_id"', '"source_id"', '"non_finite"', '"junk"',
        '"m\\u0065tric"', '"type"', '"points"', '"seq"', '"batch"']  # fmt: skip

scalars = st.one_of(
    st.sampled_from(NUMBERS + STRINGS + OTHERS),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=12).map(json.dumps),
    st.text(max_size=12).map(lambda text: json.dumps(text, ensure_ascii=False)),
)
stamps = st.one_of(
    st.sampled_from(STAMPS),
    st.integers(10**12 - 5, 10**12 + 5).map(str),
    st.floats(9e11, 9.3e12).map(json.dumps),
    st.integers(10**12, 92 * 10**11).map(lambda ms: f"{ms}.{ms % 1000:03d}"),
)
whatever = st.one_of(scalars, st.sampled_from(DEEP), stamps)
GOOD: dict[str, st.SearchStrategy[str]] = {
    '"metric"': st.sampled_from(STRINGS[1:3]),
    '"value"': st.sampled_from([*NUMBERS[:8], "true", '"RUNNING"', '"é"', "1.5"]),
    '"timestamp"': st.sampled_from(["1746969660000", "1746969660000.123", "null"]),
    '"class"': st.sampled_from(CLASSES[:3]),
    '"tags"': st.sampled_from(TAGS[:3]),
    '"run_id"': st.sampled_from(["null", '"run-1"', '""']),
    '"source_id"': st.sampled_from(SOURCES[:3]),
}
NASTY: dict[str, st.SearchStrategy[str]] = {
    '"metric"': st.sampled_from(STRINGS + OTHERS),
    '"value"': whatever,
    '"timestamp"': stamps,
    '"class"': st.sampled_from(CLASSES),
    '"tags"': st.sampled_from(TAGS),
    '"run_id"': st.sampled_from(["null", '"run-1"', '""', "1", '"\\ud800"', "[]"]),
    '"source_id"': st.sampled_from(SOURCES),
    '"non_finite"': st.sampled_from(["true", "false", "null", "1"]),
}


@st.composite
def points(draw: st.DrawFn) -> str:
    """One point: good, good but for one field, or with any fields in any order, even twice."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(OTHERS + NUMBERS + DEEP))
    fields = [(key, draw(strategy)) for key, strategy in GOOD.items() if key in KEYS[:2] or draw(st.booleans())]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        key = draw(st.sampled_from(KEYS))
        item = (key, draw(NASTY.get(key, whatever)))
        at = draw(st.integers(0, len(fields)))
        fields[at : at + draw(st.integers(0, 1))] = [item]
    return "{" + ",".join(f"{key}:{value}" for key, value in fields) + "}"


batches = st.sampled_from([
    "null", "{}", "1", '{"stream":"0123456789abcdef0123456789abcdef","n":3,"base":1,"digest":"ab"}',
    '{"stream":"0123456789abcdef0123456789abcdef","n":3.0,"base":1,"digest":"ab"}',
    '{"stream":"0123456789abcdef0123456789abcdef","n":true,"base":1,"digest":"ab"}',
    '{"stream":"0123456789abcdef0123456789abcdef","n":3,"base":4,"digest":"ab"}',
    '{"stream":"0123456789abcdef0123456789abcdef","n":3,"base":1,"digest":"ab","junk":1e999}',
    '{"stream":"x","n":3,"base":1,"digest":"ab"}',
])  # fmt: skip
heads = st.sampled_from(["", "", "", " ", "\ufeff", "\n\t"])
tails = st.sampled_from(["", "", "", " ", "x", "{}", ","])


@st.composite
def messages(draw: st.DrawFn, *, typed: bool) -> str:
    """A whole message around some points, mostly of the right shape."""
    body = "[" + ",".join(draw(st.lists(points(), max_size=4))) + "]"
    fields = [('"points"', body)]
    if typed:
        fields.append(
            ('"type"', draw(st.sampled_from(['"telemetry"'] * 6 + ['"heartbeat"', "1", '"\\u0074elemetry"'])))
        )
    for key, strategy in (
        ('"seq"', st.sampled_from(["1", "1.0", "true", "null", '"1"', "9223372036854775808", "-1"])),
        ('"batch"', batches),
        ('"source_id"', st.sampled_from(SOURCES)),
        ('"points"', st.sampled_from(["[]", "null", "{}"])),
        ('"junk"', whatever),
    ):
        if draw(st.integers(0, 5)) == 0:
            fields.insert(draw(st.integers(0, len(fields))), (key, draw(strategy)))
    return draw(heads) + "{" + ",".join(f"{key}:{value}" for key, value in fields) + "}" + draw(tails)


def outcome(decode: Any, *arguments: Any) -> str:
    """What a decoder makes of a message, with the types of everything in it."""
    try:
        return repr(decode(*arguments))
    except ProtocolError as exc:
        # The words for broken JSON are the parser's own; what matters is that both refuse, and the field.
        return f"refused {exc.field!r}"


@settings(max_examples=400, deadline=None)
@given(messages(typed=True), st.sampled_from([ENVELOPE, frames.Envelope("", ARRIVAL_NS)]))
def test_a_frame_is_the_reference_decoders_frame(text: str, envelope: frames.Envelope) -> None:
    expected = outcome(frames.parse, text, envelope)
    assert outcome(decoding.parse, text, envelope) == expected


@settings(max_examples=400, deadline=None)
@given(messages(typed=False))
def test_a_body_is_the_reference_decoders_body(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    assert outcome(decoding.parse_body, body, ARRIVAL_NS) == outcome(decoding.reference_body, body, ARRIVAL_NS)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_refused_alike(body: bytes) -> None:
    assert outcome(decoding.parse_body, body, ARRIVAL_NS) == outcome(decoding.reference_body, body, ARRIVAL_NS)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e12, 9.2e12), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_last_bit(stamp: float, value: float) -> None:
    text = json.dumps({"type": "telemetry", "points": [{"metric": "m", "value": value, "timestamp": stamp}]})
    assert outcome(decoding.parse, text, ENVELOPE) == outcome(frames.parse, text, ENVELOPE)


@pytest.mark.parametrize("text", [*NUMBERS, *STRINGS, *OTHERS, *DEEP, *STAMPS, *TAGS, *SOURCES, *CLASSES])
def test_every_odd_value_is_decoded_alike(text: str) -> None:
    for field in ("metric", "value", "timestamp", "class", "tags", "run_id", "source_id", "junk"):
        point = "{" + ",".join(
            f'"{key}":{value}' for key, value in {"metric": '"m"', "value": "1", field: text}.items()
        )
        message = '{"type":"telemetry","points":[' + point + "}]}"
        assert outcome(decoding.parse, message, ENVELOPE) == outcome(frames.parse, message, ENVELOPE), (field, text)
    for field in ("seq", "batch", "source_id", "junk", "points", "type"):
        message = '{"type":"telemetry","points":[],"' + field + '":' + text + "}"
        assert outcome(decoding.parse, message, ENVELOPE) == outcome(frames.parse, message, ENVELOPE), (field, text)


def test_plain_telemetry_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> frames.Frame:
        raise AssertionError("the reference decoder was asked")

    monkeypatch.setattr(frames, "parse", never)
    monkeypatch.setattr(decoding, "reference_body", never)
    item = {"class": "metric", "metric": "m", "value": 1.5, "timestamp": 1746969660000, "tags": {"a": "b"}}
    batch = {"stream": "0" * 32, "n": 1, "base": 1, "digest": "ab"}
    frame = decoding.parse(json.dumps({"type": "telemetry", "points": [item], "seq": 1, "batch": batch}), ENVELOPE)
    assert isinstance(frame, frames.Telemetry)
    assert frame.decoded.columns.t_ns == [1746969660000 * 10**6]
    body = json.dumps({"source_id": "rig-01", "points": [item], "batch": batch}).encode()
    assert decoding.parse_body(body, ARRIVAL_NS).decoded.columns.source_id == ["rig-01"]
