"""Values for the property tests: everything the wire can carry, and everything it cannot."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from plexus.protocol import frames
from plexus.protocol.batch import BatchName
from plexus.protocol.columns import PointFault

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.from_regex(r"[a-z][a-z0-9_.]{0,20}", fullmatch=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
int64 = st.integers(-(2**63), 2**63 - 1)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | int64 | finite | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=8,
)
json_objects = st.dictionaries(text, json_values, max_size=5)

streams = st.text("0123456789abcdef", min_size=32, max_size=32)
digests = st.text("0123456789abcdef", min_size=1, max_size=64)
counters = st.integers(1, 2**53)
offers = st.dictionaries(names, st.integers(1, 99_999), max_size=4)


@st.composite
def batch_names(draw: st.DrawFn) -> BatchName:
    """A name as a device writes it."""
    n = draw(counters)
    return BatchName(draw(streams), n, draw(st.integers(1, n)), draw(digests))


faults = st.lists(st.builds(PointFault, st.integers(0, 10_000), text), max_size=3).map(tuple)

device_auths = st.builds(
    frames.DeviceAuth,
    api_key=text,
    source_id=text,
    install_id=text,
    platform=text,
    agent_version=text,
    commands=st.lists(json_objects, max_size=2).map(tuple),
    acks=st.booleans(),
    hears_goodbye=st.booleans(),
    ext=offers,
)
authenticated = st.builds(
    frames.Authenticated,
    source_id=text,
    server_time_ms=st.none() | finite | int64,
    acks=st.booleans(),
    ext=offers,
)
command_results = st.one_of(
    st.builds(frames.CommandResult, text, text, st.just("ack")),
    st.builds(frames.CommandResult, text, text, st.just("result"), json_values),
    st.builds(frames.CommandResult, text, text, st.just("error"), st.none(), text),
)
errors = st.builds(
    frames.ErrorFrame, text, text, st.none() | int64, st.none() | st.tuples(streams, st.integers(1, 2**53))
)

plain_frames: st.SearchStrategy[frames.Frame] = st.one_of(
    device_auths,
    authenticated,
    st.builds(frames.Heartbeat, text, text, st.none() | st.builds(frames.ClockState, finite, finite)),
    st.builds(frames.TypedCommand, text, text, json_objects),
    command_results,
    errors,
    st.builds(frames.TelemetryAck, int64),
    st.builds(frames.BatchAck, streams, int64, faults),
    st.builds(frames.BatchNack, streams, int64),
    st.builds(frames.BatchFork, streams),
)
"""Every frame that `dump` writes."""
