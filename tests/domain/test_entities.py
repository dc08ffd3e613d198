"""The values that users and adapters exchange: frozen, equal by content, with the defaults that the contract names."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from plexus.domain.command import Command, CommandCall, CommandOutcome
from plexus.domain.errors import CommandDeclarationError
from plexus.domain.event import MAX_JSON_BYTES, MAX_TEXT_BYTES, Event
from plexus.domain.names import MAX_TAGS
from plexus.domain.point import Point, default_class, to_milliseconds
from plexus.domain.run import Run
from plexus.domain.source import FleetHealth, Source
from plexus.domain.video import VideoFrame

VALUES = [
    Point("m", 1),
    Event("door", "open", 1.0),
    Run("r", "r", None, "running", 1.0),
    Source("a", online=True, last_seen_ms=None),
    FleetHealth(2, 1),
    Command("reboot"),
    CommandCall("1", "reboot"),
    CommandOutcome("1", "reboot", "ack"),
    VideoFrame("a", "c", b"", 0, 0, 0),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen(value: Any) -> None:
    name = attrs.fields(type(value))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, "other")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_equal_by_content(value: Any) -> None:
    assert attrs.evolve(value) == value
    assert attrs.evolve(value) is not value


def test_a_point_needs_a_metric_and_a_value_only() -> None:
    point = Point("motor.rpm", 3200)
    assert (point.timestamp_ms, point.tags, point.run_id, point.source_id) == (None, None, None, None)
    assert point.point_class == "metric"


@pytest.mark.parametrize(
    ("given", "ms"),
    [
        (1_746_969_660, 1_746_969_660_000),
        (1_746_969_660.25, 1_746_969_660_250),
        (1_746_969_660_000, 1_746_969_660_000),
        (999_999_999_999, 999_999_999_999_000),
        (1_000_000_000_000, 1_000_000_000_000),
        (0, 0),
        (-1, -1),
        (0.5, 500),
    ],
)
def test_a_positive_time_under_1e12_is_seconds(given: float, ms: float) -> None:
    assert to_milliseconds(given) == ms


@pytest.mark.parametrize(("value", "kind"), [(1, "metric"), (1.5, "metric"), (True, "event"), ("x", "event")])
def test_a_number_is_a_metric_and_anything_else_an_event(value: Any, kind: str) -> None:
    assert default_class(value) == kind


def test_the_limits_of_an_event_are_the_contracts() -> None:
    assert (MAX_TEXT_BYTES, MAX_JSON_BYTES, MAX_TAGS) == (256, 4_096, 16)


@pytest.mark.parametrize("name", ["reboot", "A", "gripper.open", "a:b-c_d", "x" * 128])
def test_commands_have_plain_names(name: str) -> None:
    assert Command(name).name == name


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a b", ".a", "é", "a\n", "a/b", None, 7])
def test_any_other_name_of_a_command_is_refused(name: Any) -> None:
    with pytest.raises(CommandDeclarationError, match="1 to 128 letters"):
        Command(name)
