"""Which name a device gets for which key, what a refused one leaves behind, and how many names there may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.registry.memory import MemoryRegistry
from plexus.gateway import Gateway
from plexus.gateway.core import Core, Limits
from plexus.gateway.settings import Settings
from plexus.ports.registry import Move
from plexus.protocol.frames import UNAVAILABLE
from tests.gateway.test_devices import refusal
from tests.gateway.test_ingest import point, post, stored
from tests.gateway.test_moving import delete, rename
from tests.support.gateway import KEY, device, http, make_key, running

ODD = [
    "x" * 5_000,
    "x" * 5_001,
    "\u2708 \U0001f4a5 \u0645\u0631\u062d\u0628\u0627\n",
    "'; DROP TABLE names; --",
    "a\0b",
    "a\0c",
]
"""Install ids that no SDK makes."""


@pytest.fixture(params=["memory", "files"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A gateway in memory, and one over files."""
    with running(data_dir=None if request.param == "memory" else tmp_path / "data") as made:
        yield made


def names(gateway: Gateway) -> list[str]:
    """The sources that a reader is told of."""
    with http(gateway) as client:
        return [one["source_id"] for one in client.get("/v1/sources").json()["devices"]]


def name_of(gateway: Gateway, source_id: str = "drone-01", **hello: Any) -> str:
    """The name that a device is let in under."""
    with device(gateway, source_id, **hello) as wire:
        return str(wire.authenticated["source_id"])


def own_key(gateway: Gateway, source_id: str = "drone-01") -> str:
    return make_key(gateway, "write", source_id=source_id)


class TestAKeyOfOneSource:
    def test_is_the_proof_of_the_name_whatever_the_install_id(self, either: Gateway) -> None:
        key = own_key(either)
        given = [name_of(either, key=key, install_id=install) for install in ("card-1", "card-2", "", "card-1")]
        assert given == ["drone-01"] * 4
        assert names(either) == ["drone-01"]

    def test_what_a_new_card_sends_is_stored_under_the_name(self, either: Gateway) -> None:
        key = own_key(either)
        for number, install in enumerate(("card-1", "card-2"), start=1):
            with device(either, key=key, install_id=install, acks=True) as wire:
                wire.telemetry(point(number), seq=1)
                assert wire.hear() == {"type": "telemetry_ack", "seq": 1}
        assert stored(either, "drone-01") == [1, 2]

    def test_two_cards_are_in_at_once(self, gateway: Gateway) -> None:
        key = own_key(gateway)
        with device(gateway, key=key, install_id="card-1"), device(gateway, key=key, install_id="card-2") as second:
            assert second.authenticated["source_id"] == "drone-01"

    def test_gets_a_name_that_another_install_holds(self, either: Gateway) -> None:
        assert name_of(either, install_id="a") == "drone-01"
        assert name_of(either, key=own_key(either), install_id="b") == "drone-01"
        assert name_of(either, install_id="c") == "drone-01_2"
        assert name_of(either, install_id="a") == "drone-01"

    def test_comes_back_to_a_device_that_got_a_suffix_before(self, either: Gateway) -> None:
        for install in ("a", "b"):
            name_of(either, install_id=install)
        assert name_of(either, key=own_key(either), install_id="b") == "drone-01"

    def test_follows_a_rename_for_every_card_that_was_there(self, either: Gateway) -> None:
        key = own_key(either)
        for install in ("card-1", "card-2"):
            name_of(either, key=key, install_id=install)
        assert rename(either).status_code == 200
        for install in ("card-1", "card-2"):
            for declared in ("drone-01", "left-arm"):
                assert name_of(either, declared, key=key, install_id=install) == "left-arm"
        assert names(either) == ["left-arm"]

    def test_lets_a_new_card_in_by_the_new_name_after_a_rename(self, either: Gateway) -> None:
        key = own_key(either)
        name_of(either, key=key, install_id="card-1")
        rename(either)
        assert refusal(either, api_key=key, install_id="card-2")[0]["code"] == "not_permitted"
        assert name_of(either, "left-arm", key=key, install_id="card-2") == "left-arm"
        assert names(either) == ["left-arm"]

    def test_does_not_undo_a_rename_that_is_under_way(self, gateway: Gateway) -> None:
        key = own_key(gateway)
        name_of(gateway, key=key, install_id="card-1")
        core = gateway.core
        core.moving.places |= {("default", "drone-01"), ("default", "left-arm")}
        core.registry.begin_move(Move("default", "drone-01", "left-arm"))
        for install in ("card-1", "card-2"):
            assert refusal(gateway, api_key=key, install_id=install)[0]["code"] == UNAVAILABLE
        assert core.registry.given("default", "drone-01", "card-1") == "left-arm"
        assert core.registry.registered("default") == ["left-arm"]


class TestAKeyOfAllSources:
    def test_suffixes_a_name_that_another_install_holds(self, either: Gateway) -> None:
        given = [name_of(either, install_id=install) for install in ("a", "b", "c", "b", "a", "")]
        assert given == ["drone-01", "drone-01_2", "drone-01_3", "drone-01_2", "drone-01", "drone-01"]
        assert names(either) == ["drone-01", "drone-01_2", "drone-01_3"]

    def test_takes_any_text_for_an_install_id(self, either: Gateway) -> None:
        given = [name_of(either, install_id=install) for install in ODD]
        assert given == ["drone-01", *(f"drone-01_{number}" for number in range(2, len(ODD) + 1))]
        assert [name_of(either, install_id=install) for install in ODD] == given

    def test_takes_any_text_for_an_install_id_with_a_key_of_one_source_too(self, either: Gateway) -> None:
        key = own_key(either)
        assert [name_of(either, key=key, install_id=install) for install in ODD] == ["drone-01"] * len(ODD)


class TestASuffix:
    """Is of a name that no source has, one that only has points included."""

    def sent(self, gateway: Gateway, *source_ids: str) -> None:
        for source_id in source_ids:
            assert post(gateway, {"source_id": source_id, "points": [{"metric": "m", "value": 1}]})[0] == 200

    def test_passes_over_sources_that_only_have_points(self, either: Gateway) -> None:
        self.sent(either, "drone-01_2", "drone-01_3")
        given = [name_of(either, install_id=install) for install in ("a", "b", "c", "b")]
        assert given == ["drone-01", "drone-01_4", "drone-01_5", "drone-01_4"]

    def test_passes_over_points_of_before_a_restart(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path / "data") as gateway:
            self.sent(gateway, "drone-01_2")
        with running(data_dir=tmp_path / "data") as again:
            assert [name_of(again, install_id=install) for install in "ab"] == ["drone-01", "drone-01_3"]

    def test_follows_renames_and_deletions_of_such_sources(self, either: Gateway) -> None:
        self.sent(either, "left", "drone-01_3")
        with http(either) as client:
            assert client.patch("/v1/sources/left", json={"source_id": "drone-01_2"}).status_code == 200
        assert [name_of(either, install_id=install) for install in "ab"] == ["drone-01", "drone-01_4"]
        assert delete(either, "drone-01_2").status_code == 200
        assert name_of(either, install_id="c") == "drone-01_2"

    def test_is_not_given_while_its_source_is_being_deleted(self, gateway: Gateway) -> None:
        self.sent(gateway, "drone-01_2")
        name_of(gateway, install_id="a")
        gateway.core.moving.places.add(("default", "drone-01_2"))
        assert refusal(gateway, install_id="b")[0]["code"] == UNAVAILABLE
        assert gateway.core.registry.registered("default") == ["drone-01"]

    def test_is_not_needed_for_a_name_that_only_has_points(self, either: Gateway) -> None:
        self.sent(either, "drone-01")
        assert name_of(either, install_id="a") == "drone-01"


def test_half_a_character_is_no_text_and_leaves_no_trace(gateway: Gateway) -> None:
    assert refusal(gateway, install_id="a\ud800b")[0]["code"] == "malformed"
    assert names(gateway) == []


def test_a_refused_greeting_leaves_no_trace(either: Gateway) -> None:
    name_of(either, install_id="a")
    name_of(either, "drone-02", install_id="b")
    foreign = own_key(either, "drone-02")
    text, info = either.core.keyring.create("default", "gone", ["write"])
    either.core.keyring.revoke(info.key_id)
    keys = [
        foreign,
        make_key(either, "read", "commands"),
        make_key(either, "read", source_id="drone-01"),
        text,
        "plx_no",
    ]
    before = names(either)
    for number in range(3):
        for key in keys:
            for declared in ("drone-01", f"new-{number}"):
                hello = {"api_key": key, "source_id": declared, "install_id": f"card-{number}"}
                assert refusal(either, **hello)[1] == 1008
    assert names(either) == before == ["drone-01", "drone-02"]


class TestTheLimitOfSources:
    """`limits.org_sources`, here 2, whichever way a name comes to be known."""

    @pytest.fixture
    def few(self, tmp_path: Path) -> Any:
        with self.gateway(tmp_path) as made:
            yield made

    def gateway(self, tmp_path: Path) -> Any:
        return running(data_dir=tmp_path / "data", settings=Settings(limits=Limits(org_sources=2)))

    def sent(self, gateway: Gateway, source_id: str) -> int:
        return post(gateway, {"source_id": source_id, "points": [{"metric": "m", "value": 1}]})[0]

    def registered(self, gateway: Gateway, source_id: str) -> tuple[int, str]:
        with http(gateway) as client:
            answer = client.post("/api/sources", json={"slug": source_id})
        return answer.status_code, answer.json().get("error", "")

    def test_one_too_many_is_told_to_the_device_and_leaves_no_trace(self, few: Gateway) -> None:
        key = own_key(few, "arm")
        assert [name_of(few, install_id=install) for install in ("a", "b")] == ["drone-01", "drone-01_2"]
        for hello in ({"install_id": "c"}, {"source_id": "leg"}, {"source_id": "arm", "api_key": key}):
            error, code = refusal(few, **hello)
            assert (error["code"], code) == ("SOURCE_LIMIT", 1008)
            assert "would be one source too many: the organisation has 2" in error["detail"]
        assert names(few) == ["drone-01", "drone-01_2"]

    def test_one_too_many_cannot_be_registered(self, few: Gateway) -> None:
        assert [self.registered(few, name)[0] for name in ("rig", "rig", "arm")] == [201, 409, 201]
        told = "the source leg would be one source too many: the organisation has 2; delete one, or raise the limit"
        status, error = self.registered(few, "leg")
        assert (status, error[: len(told)]) == (400, told)
        assert names(few) == ["arm", "rig"]

    def test_a_name_counts_once_however_it_is_known(self, few: Gateway) -> None:
        assert self.sent(few, "rig") == 200
        assert name_of(few, "rig", install_id="a") == "rig"
        assert self.registered(few, "rig")[0] == 201
        assert self.registered(few, "arm")[0] == 201
        assert self.sent(few, "arm") == 200
        assert self.sent(few, "leg") == 400

    def test_claimed_and_registered_names_leave_no_room_for_points_of_others(self, few: Gateway) -> None:
        name_of(few, "rig", install_id="a")
        self.registered(few, "arm")
        assert self.sent(few, "leg") == 400
        assert (self.sent(few, "rig"), self.sent(few, "arm")) == (200, 200)

    def test_who_is_known_comes_in_when_it_is_full(self, few: Gateway) -> None:
        for name in ("rig", "arm"):
            name_of(few, name, install_id="a")
        assert [name_of(few, name, install_id="a") for name in ("rig", "arm")] == ["rig", "arm"]
        assert name_of(few, "rig", key=own_key(few, "rig"), install_id="new card") == "rig"

    def test_a_restart_counts_what_was_claimed_and_registered(self, few: Gateway, tmp_path: Path) -> None:
        name_of(few, "rig", install_id="a")
        self.registered(few, "arm")
        few.close()
        with self.gateway(tmp_path) as again:
            assert self.registered(again, "leg")[0] == 400
            assert refusal(again, source_id="leg")[0]["code"] == "SOURCE_LIMIT"
            assert self.sent(again, "leg") == 400
            assert name_of(again, "rig", install_id="a") == "rig"

    @pytest.mark.parametrize("asked_before", [True, False])
    def test_a_rename_changes_nothing_and_a_deletion_makes_room(
        self, few: Gateway, tmp_path: Path, asked_before: bool
    ) -> None:
        name_of(few, install_id="a")
        self.registered(few, "arm")
        few.close()
        with self.gateway(tmp_path) as again:
            if asked_before:
                assert self.sent(again, "leg") == 400
            assert rename(again).status_code == 200
            assert self.registered(again, "drone-01")[0] == 400
            assert delete(again, "arm").status_code == 200
            assert self.registered(again, "drone-01")[0] == 201
            assert self.registered(again, "leg")[0] == 400

    def test_organisations_count_their_own(self, few: Gateway) -> None:
        for name in ("rig", "arm"):
            name_of(few, name)
        key = make_key(few, "write", org="other")
        assert name_of(few, "leg", key=key) == "leg"


class Watching(MemoryRegistry):
    """Notes at each change of names whether it was alone, and whether the names were counted."""

    def __init__(self) -> None:
        super().__init__()
        self.core: Core | None = None
        self.noted: list[tuple[bool, bool]] = []

    def claim(self, org: str, declared: str, install_id: str) -> str:
        self._note()
        return super().claim(org, declared, install_id)

    def prove(self, org: str, source_id: str, install_id: str) -> None:
        self._note()
        super().prove(org, source_id, install_id)

    def begin_move(self, move: Move) -> None:
        self._note()
        super().begin_move(move)

    def _note(self) -> None:
        assert self.core is not None
        self.noted.append((self.core.moving.naming.locked(), "default" in self.core.intake.quotas._orgs))


@pytest.mark.parametrize("change", ["claim", "prove", "rename"])
def test_names_change_one_after_the_other_and_are_counted_before(change: str) -> None:
    registry = Watching()
    with running(registry=registry) as gateway:
        registry.core = gateway.core
        if change == "rename":
            gateway.core.registry.register("default", "drone-01", "{}")
            assert rename(gateway).status_code == 200
        else:
            name_of(gateway, key=own_key(gateway) if change == "prove" else KEY, install_id="a")
    assert registry.noted == [(True, True)]


def test_nothing_is_registered_under_a_name_that_is_moving(gateway: Gateway) -> None:
    gateway.core.moving.places.add(("default", "rig"))
    with http(gateway) as client:
        answer = client.post("/api/sources", json={"slug": "rig"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert names(gateway) == []
