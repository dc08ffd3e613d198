"""Who is there, as the gateway tells it."""

from __future__ import annotations

from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.adapters.store.memory import MemoryStore
from plexus.gateway.assembly import Ports, build_core
from plexus.gateway.core import Presence, Sockets
from plexus.gateway.settings import Settings

SECOND = 1_000_000_000


class Wall:
    def __init__(self) -> None:
        self.now = 1_746_969_660 * SECOND

    def __call__(self) -> int:
        return self.now


class TestPresence:
    def setup_method(self) -> None:
        self.wall = Wall()
        self.presence = Presence(self.wall)

    def test_a_source_that_was_never_heard_is_offline_and_unseen(self) -> None:
        assert not self.presence.online("acme", "rig-01")
        assert self.presence.last_seen_ms("acme", "rig-01") is None

    def test_data_makes_a_source_online_for_thirty_seconds(self) -> None:
        self.presence.heard("acme", "rig-01")
        self.wall.now += 30 * SECOND - 1
        assert self.presence.online("acme", "rig-01")
        self.wall.now += 1
        assert not self.presence.online("acme", "rig-01")
        assert self.presence.last_seen_ms("acme", "rig-01") == 1_746_969_660_000

    def test_an_open_socket_is_online_however_quiet(self) -> None:
        self.presence.opened("acme", "rig-01")
        self.wall.now += 3600 * SECOND
        assert self.presence.online("acme", "rig-01")
        self.presence.closed("acme", "rig-01")
        assert not self.presence.online("acme", "rig-01")

    def test_a_second_socket_keeps_it_online_when_the_first_goes(self) -> None:
        self.presence.opened("acme", "rig-01")
        self.presence.opened("acme", "rig-01")
        self.wall.now += 3600 * SECOND
        self.presence.closed("acme", "rig-01")
        assert self.presence.online("acme", "rig-01")
        self.presence.closed("acme", "rig-01")
        assert not self.presence.online("acme", "rig-01")

    def test_organisations_are_apart(self) -> None:
        self.presence.opened("acme", "rig-01")
        assert not self.presence.online("umbrella", "rig-01")

    def test_what_the_store_knows_survives_a_restart(self) -> None:
        self.presence.learn("acme", {"rig-01": self.wall.now - 10 * SECOND, "rig-02": self.wall.now - 3600 * SECOND})
        assert self.presence.online("acme", "rig-01")
        assert not self.presence.online("acme", "rig-02")
        assert self.presence.last_seen_ms("acme", "rig-02") == 1_746_969_660_000 - 3_600_000

    def test_older_knowledge_does_not_overwrite_what_was_heard(self) -> None:
        self.presence.heard("acme", "rig-01")
        self.presence.learn("acme", {"rig-01": 1})
        assert self.presence.online("acme", "rig-01")

    def test_a_heartbeat_is_no_data_but_was_seen(self) -> None:
        self.presence.opened("acme", "rig-01")
        self.wall.now += 60 * SECOND
        self.presence.met("acme", "rig-01")
        self.presence.closed("acme", "rig-01")
        assert not self.presence.online("acme", "rig-01")
        assert self.presence.last_seen_ms("acme", "rig-01") == 1_746_969_720_000

    def test_how_long_data_counts_can_be_chosen(self) -> None:
        presence = Presence(self.wall, online_s=5.0)
        presence.heard("acme", "rig-01")
        self.wall.now += 5 * SECOND - 1
        assert presence.online("acme", "rig-01")
        self.wall.now += 1
        assert not presence.online("acme", "rig-01")

    def test_when_it_was_seen_is_remembered_and_makes_nobody_online(self) -> None:
        self.presence.remember({("acme", "rig-01"): self.wall.now / 1e6 - 1_000})
        assert not self.presence.online("acme", "rig-01")
        assert self.presence.last_seen_ms("acme", "rig-01") == 1_746_969_659_000

    def test_what_is_remembered_is_told_to_the_millisecond(self) -> None:
        for seen_ms in range(1_796_009_994_000, 1_796_009_995_000):
            self.presence.remember({("acme", f"rig-{seen_ms}"): float(seen_ms)})
            assert self.presence.last_seen_ms("acme", f"rig-{seen_ms}") == seen_ms

    def test_when_it_was_last_seen_never_goes_back(self) -> None:
        self.presence.heard("acme", "rig-01")
        self.presence.learn("acme", {"rig-01": 5})
        self.presence.remember({("acme", "rig-01"): 1.0})
        self.wall.now -= 3600 * SECOND
        self.presence.heard("acme", "rig-01")
        assert self.presence.last_seen_ms("acme", "rig-01") == 1_746_969_660_000

    def test_a_clock_that_was_set_back_keeps_nobody_online_and_nobody_off(self) -> None:
        self.presence.heard("acme", "silent")
        self.wall.now -= 3600 * SECOND
        assert not self.presence.online("acme", "silent")
        self.presence.heard("acme", "talking")
        assert self.presence.online("acme", "talking")

    def test_what_was_seen_goes_with_a_source_that_is_renamed_and_ends_with_one_that_is_removed(self) -> None:
        self.presence.opened("acme", "rig-01")
        self.presence.heard("acme", "rig-01")
        self.presence.rename("acme", "rig-01", "arm")
        assert (self.presence.online("acme", "rig-01"), self.presence.online("acme", "arm")) == (False, True)
        self.presence.closed("acme", "arm")
        self.presence.remove("acme", "arm")
        assert not self.presence.online("acme", "arm")
        assert self.presence.last_seen_ms("acme", "arm") is None

    def test_a_stranger_is_one_that_shows_itself_and_of_which_nothing_was_known(self) -> None:
        self.presence.remember({("acme", "remembered"): 1.0})
        self.presence.learn("acme", {"learnt": 1})
        self.presence.heard("acme", "heard")
        for known in ("remembered", "learnt", "heard"):
            self.presence.met("acme", known)
        assert not self.presence.strangers_came.is_set()
        self.presence.opened("acme", "new")
        assert self.presence.strangers_came.is_set()
        assert set(self.presence.take_strangers()) == {("acme", "new")}
        self.presence.met("acme", "new")
        assert not self.presence.take_strangers()

    def test_a_stranger_has_its_new_name_when_it_is_renamed_and_is_none_when_it_is_removed(self) -> None:
        self.presence.met("acme", "rig-01")
        self.presence.met("acme", "rig-02")
        self.presence.rename("acme", "rig-01", "arm")
        self.presence.remove("acme", "rig-02")
        assert set(self.presence.take_strangers()) == {("acme", "arm")}
        assert not self.presence.take_changed()


def test_how_long_data_counts_is_a_setting_of_the_gateway() -> None:
    wall, ports = Wall(), Ports(MemoryStore(), MemoryBus(), MemoryKeyring(), MemoryRegistry())
    presence = build_core(ports, settings=Settings(online_s=5.0), wall_ns=wall).presence
    presence.heard("acme", "rig-01")
    wall.now += 5 * SECOND - 1
    assert presence.online("acme", "rig-01")
    wall.now += 1
    assert not presence.online("acme", "rig-01")


class Open:
    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        self.place = ("acme", "rig-01")
        self.told: list[str] = []

    def expel(self) -> None:
        self.told.append("expel")

    def goodbye(self, code: int = 1001, reason: str = "") -> None:
        self.told.append("goodbye")


class TestSockets:
    def test_only_sockets_of_a_revoked_key_are_expelled(self) -> None:
        sockets, good, bad = Sockets(), Open("a"), Open("b")
        sockets.add(good)
        sockets.add(bad)
        sockets.expel(frozenset({"b", "c"}))
        assert (good.told, bad.told) == ([], ["expel"])

    def test_goodbye_reaches_everybody_and_whoever_comes_late(self) -> None:
        sockets, early, late = Sockets(), Open("a"), Open("a")
        sockets.add(early)
        sockets.goodbye()
        sockets.add(late)
        assert (early.told, late.told) == (["goodbye"], ["goodbye"])
