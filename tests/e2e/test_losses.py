"""What a device had to drop is one number everywhere: in its own statistics, in the gateway's record, over REST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus import PlexusAPI
from plexus.client import Plexus
from plexus.domain.errors import DataLossError, PlexusError
from tests.support.served import Served
from tests.support.waiting import eventually

SENT, ROOM = 5_000, 2_000


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    gateway = Served(tmp_path)
    monkeypatch.setenv("PLEXUS_URL", gateway.url)
    monkeypatch.setenv("PLEXUS_API_KEY", gateway.key)
    monkeypatch.setenv("PLEXUS_HOME", str(tmp_path / "device"))
    yield gateway
    gateway.kill()


def test_a_loss_of_n_points_is_n_in_the_statistics_in_the_gateways_record_and_over_rest(served: Served) -> None:
    told: list[PlexusError] = []
    with Plexus(source_id="rig-01", max_buffer_size=ROOM, on_error=told.append) as px, PlexusAPI() as api:
        for index in range(SENT):
            px.send("load.value", index)
        eventually(lambda: px.stats().dropped.get("buffer_full"), 30.0, "the first points that made room")
        eventually(lambda: px.buffer_size() <= ROOM, 30.0, "a buffer within its bound")
        served.start()
        lost = px.stats().dropped["buffer_full"]
        assert px.flush(60)
        eventually(lambda: px.stats().declared == lost, 30.0, "the gateway's receipt of the loss")
        delivery = api.sources.delivery("rig-01")
        assert {gap.reason: gap.count for gap in delivery.gaps} == px.stats().dropped == {"buffer_full": lost}
        assert delivery.lost == lost > 0
        assert len(served.values("rig-01", "load.value")) == SENT - lost
        assert [error.loss.reason for error in told if isinstance(error, DataLossError)] == ["buffer_full"]
    served.stop()
    served.start()
    with PlexusAPI() as api:
        assert api.sources.delivery("rig-01").lost == lost
