"""Who is there, as the gateway tells it."""

from __future__ import annotations

from plexus.gateway.core import Presence, Sockets

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


class Open:
    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        self.told: list[str] = []

    def expel(self) -> None:
        self.told.append("expel")

    def goodbye(self) -> None:
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
