"""Columns of doubles that are an array to numpy and a list to everybody else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plexus.adapters.store.embedded.queries.doubles import Doubles

NUMBERS = [1.5, -0.0, math.inf, 7.0]


@pytest.fixture
def doubles() -> Doubles:
    return Doubles(np.array(NUMBERS))


def test_it_is_equal_to_a_list_of_the_same(doubles: Doubles) -> None:
    assert doubles == NUMBERS
    assert NUMBERS == doubles  # noqa: SIM300 - both ways round
    assert doubles != NUMBERS[1:]
    assert doubles == Doubles(np.array(NUMBERS))
    assert doubles != (1.5,)


def test_its_items_are_floats_of_python(doubles: Doubles) -> None:
    assert [type(item) for item in (*doubles, doubles[0])] == [float] * 5
    assert (doubles[-1], len(doubles), doubles[1:3] == NUMBERS[1:3]) == (7.0, 4, True)
    assert repr(doubles) == repr(NUMBERS)


def test_numpy_takes_it_as_it_is(doubles: Doubles) -> None:
    assert np.shares_memory(np.asarray(doubles), np.asarray(doubles))
    assert not np.shares_memory(np.array(doubles), np.asarray(doubles))
    assert np.asarray(doubles, np.float32).dtype == np.float32
