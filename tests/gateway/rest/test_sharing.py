"""Gateways of one process share their routes and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.rest.house import House, key


@pytest.fixture
def other() -> Iterator[House]:
    """Another gateway's REST part, beside `house`."""
    made = House()
    yield made
    made.close()


def test_each_answers_from_its_own_data(house: House, other: House) -> None:
    house.stored("rig-01", "rpm", 1)
    other.stored("rig-02", "volt", 2)
    for _turn in range(2):
        assert house.get("/v1/sources/rig-01/metrics") == ["rpm"]
        assert other.get("/v1/sources/rig-02/metrics") == ["volt"]
    assert house.refused("GET", "/v1/sources/rig-02")[0] == 404
    assert other.refused("GET", "/v1/sources/rig-01")[0] == 404


def test_each_counts_what_it_refused_itself(house: House, other: House) -> None:
    assert house.refused("GET", "/v1/sources", by=key("write"))[0] == 403
    assert [refusals(one) for one in (house, other)] == [1, 0]


def test_one_that_is_gone_takes_nothing_with_it(house: House) -> None:
    gone = House()
    gone.stored("rig-01", "rpm", 1)
    gone.get("/v1/sources")
    gone.close()
    assert house.get("/v1/sources") == {"devices": []}


def refusals(house: House) -> float:
    return house.core.meters.registry.get_sample_value("plexus_rejects_total", {"reason": "scope"}) or 0
