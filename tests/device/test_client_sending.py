"""What a program may hand to `Plexus`, what arrives of it, and what is an error at the call."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from plexus.adapters.runs.memory import MemoryRunRegistry
from plexus.domain.errors import ConfigurationError, UnsupportedValueError
from tests.device.clients import client
from tests.support.peer import Gateway, serving
from tests.support.waiting import eventually


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving(Gateway()) as served:
        yield served


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_QUIET", "1")


def test_a_reading_arrives(gateway: Gateway) -> None:
    with client(gateway) as px:
        assert px.send("battery.voltage", 12.4) is True
        eventually(lambda: gateway.values() == [12.4])
        assert gateway.stored[0].source_id == "drone-01"
        assert gateway.stored[0].metric == "battery.voltage"


def test_every_kind_of_value_arrives_as_it_was(gateway: Gateway) -> None:
    values = [1, -(2**63), 2**64 - 1, 1.5, True, "RUNNING", "東京", {"a": [1, {"b": 2}]}, [1, "x"], ""]
    with client(gateway) as px:
        for value in values:
            px.send("m", value)
        assert px.flush_buffer()
    assert gateway.values() == values


class Scalar:
    """As numpy has them: a number in a box."""

    def __init__(self, value: float) -> None:
        self._value = value

    def item(self) -> float:
        return self._value


def test_values_of_numpy_and_the_like_are_taken_as_plain_ones(gateway: Gateway) -> None:
    with client(gateway) as px:
        px.send("m", Scalar(1.5))
        px.send("m", array("d", [1.0, 2.0]))
        px.send("m", 1, timestamp=Scalar(1_746_969_660_000))  # type: ignore[arg-type]
        assert px.flush_buffer()
    assert gateway.values() == [1.5, [1.0, 2.0], 1]
    assert gateway.stored[2].timestamp_ms == 1_746_969_660_000


def test_values_are_taken_as_they_are_at_the_call(gateway: Gateway) -> None:
    state = {"mode": "auto"}
    tags = {"motor": "A1"}
    with client(gateway) as px:
        px.send("state", state, tags=tags)
        state["mode"], tags["motor"] = "manual", "B2"
        assert px.flush_buffer()
    assert gateway.values() == [{"mode": "auto"}]
    assert gateway.stored[0].tags == {"motor": "A1"}


@pytest.mark.parametrize("value", [None, b"bytes", {1, 2}, object(), 2**64, {1: "a"}, "\ud800", complex(1, 2)])
def test_a_value_that_no_wire_carries_is_a_type_error_that_names_the_metric(gateway: Gateway, value: object) -> None:
    with client(gateway) as px:
        px.send("good", 1)
        with pytest.raises(TypeError, match=r"motor\.state"):
            px.send("motor.state", value)
        px.send("good", 2)
        assert px.flush_buffer()
    assert gateway.values() == [1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_never_raises(gateway: Gateway, value: float) -> None:
    with client(gateway) as px:
        assert px.send("m", value)
        assert px.flush_buffer()
    assert str(gateway.values()[0]) == str(value)


@pytest.mark.parametrize(
    ("metric", "kind", "said"),
    [
        ("", ConfigurationError, "must not be empty"),
        ("m" * 513, ConfigurationError, "512 bytes"),
        ("\ud800", ConfigurationError, "surrogate"),
        (None, UnsupportedValueError, "must be text"),
        (["m"], UnsupportedValueError, "must be text"),
        (7, UnsupportedValueError, "must be text"),
    ],
)
def test_a_bad_metric_is_an_error_at_the_call(gateway: Gateway, metric: Any, kind: type[Exception], said: str) -> None:
    with client(gateway) as px, pytest.raises(kind, match=said):
        px.send(metric, 1)


@pytest.mark.parametrize(
    ("tags", "kind", "said"),
    [
        ("a=b", UnsupportedValueError, "dict of texts"),
        ({"a": None}, UnsupportedValueError, "texts, not NoneType"),
        ({"a": {}}, UnsupportedValueError, "texts, not dict"),
        ({str(i): "x" for i in range(17)}, ConfigurationError, "at most 16"),
        ({"a": "\ud800"}, ConfigurationError, "surrogate"),
    ],
)
def test_bad_tags_are_an_error_at_the_call(gateway: Gateway, tags: Any, kind: type[Exception], said: str) -> None:
    with client(gateway) as px, pytest.raises(kind, match=said):
        px.send("motor.rpm", 1, tags=tags)


def test_numbers_in_tags_become_text(gateway: Gateway) -> None:
    with client(gateway) as px:
        px.send("m", 1, tags={"motor": 3, "on": True})
        assert px.flush_buffer()
    assert gateway.stored[0].tags == {"motor": "3", "on": "True"}


def test_a_class_that_is_none_is_an_error_at_the_call(gateway: Gateway) -> None:
    with client(gateway) as px, pytest.raises(ConfigurationError, match="data_class"):
        px.send("m", 1, data_class="log")


MOMENT = datetime(2025, 5, 11, 13, 21, 0, 123_456, tzinfo=timezone.utc)
MOMENT_MS = 1_746_969_660_123.456


@pytest.mark.parametrize(
    ("timestamp", "milliseconds"),
    [
        (1_746_969_660, 1_746_969_660_000),
        (1_746_969_660.5, 1_746_969_660_500),
        (1_746_969_660_123, 1_746_969_660_123),
        (MOMENT_MS, MOMENT_MS),
        (MOMENT, MOMENT_MS),
        (MOMENT.astimezone(timezone(timedelta(hours=9))), MOMENT_MS),
        (12.5, 12_500),
        (0, 0),
        (-1_000, -1_000),
    ],
)
def test_a_time_may_be_seconds_milliseconds_or_a_moment(gateway: Gateway, timestamp: Any, milliseconds: float) -> None:
    with client(gateway) as px:
        px.send("m", 1, timestamp=timestamp)
        assert px.flush_buffer()
    assert gateway.stored[0].timestamp_ms == pytest.approx(milliseconds, abs=1e-3)


@pytest.mark.parametrize(
    ("timestamp", "kind", "said"),
    [
        (datetime(2025, 5, 11), ConfigurationError, "no time zone"),  # noqa: DTZ001 - the mistake that is tested
        ("2025-05-11", UnsupportedValueError, "must be seconds"),
        (True, UnsupportedValueError, "must be seconds"),
        (float("nan"), ConfigurationError, "no time between"),
        (1e20, ConfigurationError, "no time between"),
    ],
)
def test_a_time_that_is_none_is_an_error_at_the_call(
    gateway: Gateway, timestamp: Any, kind: type[Exception], said: str
) -> None:
    with client(gateway) as px, pytest.raises(kind, match=said):
        px.send("m", 1, timestamp=timestamp)


def test_events_arrive_as_events(gateway: Gateway) -> None:
    with client(gateway) as px:
        px.event("door.opened", {"by": "crew"}, timestamp=MOMENT, tags={"door": "2"})
        px.event("count", 3)
        assert px.flush_buffer()
    assert [(point.metric, point.value, point.event) for point in gateway.stored] == [
        ("door.opened", {"by": "crew"}, True),
        ("count", 3, True),
    ]


def test_a_batch_takes_pairs_and_triples(gateway: Gateway) -> None:
    with client(gateway) as px:
        assert px.send_batch([("a", 1), ("b", 2, 1_746_969_660), ("c", 3, None)], timestamp=MOMENT, tags={"k": "v"})
        assert px.flush_buffer()
    assert [(point.metric, point.value, point.timestamp_ms) for point in gateway.stored] == [
        ("a", 1, pytest.approx(MOMENT_MS, abs=1e-3)),
        ("b", 2, 1_746_969_660_000),
        ("c", 3, pytest.approx(MOMENT_MS, abs=1e-3)),
    ]
    assert all(point.tags == {"k": "v"} for point in gateway.stored)


def test_points_of_a_batch_without_a_time_get_the_same_one(gateway: Gateway) -> None:
    with client(gateway) as px:
        px.send_batch([("a", 1), ("b", 2)])
        assert px.flush_buffer()
    assert len({point.timestamp_ms for point in gateway.stored}) == 1


def test_one_bad_value_of_a_batch_takes_no_other_with_it(gateway: Gateway) -> None:
    with client(gateway) as px:
        with pytest.raises(TypeError, match="'b'"):
            px.send_batch([("a", 1), ("b", None), ("c", 3)])
        with pytest.raises(ConfigurationError, match="send_batch takes"):
            px.send_batch([("d",), ("e", 5)])  # type: ignore[list-item]
        assert px.flush_buffer()
    assert gateway.values() == [1, 3, 5]


def test_points_inside_a_run_carry_its_id_and_the_app_is_told(gateway: Gateway) -> None:
    registry = MemoryRunRegistry()
    with client(gateway, runs=registry) as px:
        px.send("m", 0)
        with px.run("thermal-cycle-001", tags={"rig": "7"}):
            px.send("m", 1)
            px.send("m", "warm", tags={"a": "b"})
        px.send("m", 2)
        assert px.flush_buffer()
    assert [point.run_id for point in gateway.stored] == [None, "thermal-cycle-001", "thermal-cycle-001", None]
    eventually(lambda: registry.runs["thermal-cycle-001"].status == "completed")


def test_many_threads_may_send_at_once(gateway: Gateway) -> None:
    with client(gateway, max_buffer_size=100_000) as px:
        threads = [
            threading.Thread(target=lambda base=base: [px.send("m", base + i) for i in range(2_000)])
            for base in range(0, 8_000, 2_000)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert px.flush_buffer(20.0)
    assert sorted(gateway.values(), key=int) == list(range(8_000))  # type: ignore[arg-type]
