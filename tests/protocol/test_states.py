"""The states of both ends, as the tables that their modules print in words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import EnumMeta
from typing import Any

import pytest

from plexus.protocol import device, gateway
from tests.support.pair import states_table

DEVICE = """\
connecting -> ended, greeting
greeting -> ended, ready
ready -> ended
ended -> (the end)"""

GATEWAY = """\
awaiting_auth -> checking, closed
checking -> closed, ready
ready -> closed
closed -> (the end)"""


def test_the_device_goes_through_these_states() -> None:
    assert states_table(device.TRANSITIONS) == DEVICE


def test_the_gateway_goes_through_these_states() -> None:
    assert states_table(gateway.TRANSITIONS) == GATEWAY


@pytest.mark.parametrize(
    ("states", "transitions"), [(device.State, device.TRANSITIONS), (gateway.State, gateway.TRANSITIONS)]
)
def test_every_state_is_in_the_table_and_has_a_way_to_the_end(
    states: EnumMeta, transitions: Mapping[Any, frozenset[Any]]
) -> None:
    assert list(transitions) == list(states)
    (last,) = [state for state, leads in transitions.items() if not leads]
    assert all(last in leads for state, leads in transitions.items() if state is not last)
