"""Who is there, as the gateway tells it."""

from __future__ import annotations

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.gateway.core import OUTCOMES_KEPT, Devices, Presence, Sockets

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


class Link:
    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.calls: list[CommandCall] = []

    def call(self, call: CommandCall) -> bool:
        if self.takes:
            self.calls.append(call)
        return self.takes


class TestDevices:
    def test_a_command_for_nobody_is_not_queued(self) -> None:
        devices = Devices()
        assert not devices.call("acme", "rig-01", "reboot", {})
        assert not devices.connected("acme", "rig-01")

    def test_the_newest_socket_gets_the_command_once(self) -> None:
        devices, old, new = Devices(), Link(), Link()
        devices.joined("acme", "rig-01", old)
        devices.joined("acme", "rig-01", new)
        assert devices.call("acme", "rig-01", "reboot", {"delay_s": 3})
        assert (old.calls, [(call.command, call.params) for call in new.calls]) == ([], [("reboot", {"delay_s": 3})])

    def test_a_socket_that_takes_no_more_is_passed_over(self) -> None:
        devices, old, new = Devices(), Link(), Link(takes=False)
        devices.joined("acme", "rig-01", old)
        devices.joined("acme", "rig-01", new)
        assert devices.call("acme", "rig-01", "reboot", {})
        assert len(old.calls) == 1

    def test_every_call_has_an_id_of_its_own(self) -> None:
        devices, link = Devices(), Link()
        devices.joined("acme", "rig-01", link)
        for _ in range(3):
            devices.call("acme", "rig-01", "reboot", {})
        assert len({call.call_id for call in link.calls}) == 3

    def test_another_organisations_device_is_not_reached(self) -> None:
        devices, link = Devices(), Link()
        devices.joined("acme", "rig-01", link)
        assert not devices.call("umbrella", "rig-01", "reboot", {})
        assert not link.calls

    def test_who_left_is_not_called(self) -> None:
        devices, link = Devices(), Link()
        devices.joined("acme", "rig-01", link)
        devices.left("acme", "rig-01", link)
        devices.left("acme", "rig-01", link)
        assert not devices.call("acme", "rig-01", "reboot", {})

    def test_the_last_outcomes_are_kept(self) -> None:
        devices = Devices()
        for number in range(OUTCOMES_KEPT + 5):
            devices.answered("acme", "rig-01", CommandOutcome(str(number), "reboot", "ack"))
        kept = devices.outcomes("acme")
        assert [kept[0].outcome.call_id, kept[-1].outcome.call_id] == ["5", str(OUTCOMES_KEPT + 4)]
        assert len(kept) == OUTCOMES_KEPT
        assert devices.outcomes("umbrella") == []

    def test_a_result_too_large_to_hold_is_let_go_but_not_its_outcome(self) -> None:
        devices = Devices()
        devices.answered("acme", "rig-01", CommandOutcome("1", "dump", "result", "x" * 70_000))
        devices.answered("acme", "rig-01", CommandOutcome("2", "dump", "result", {"ok": True}))
        assert [heard.outcome.result for heard in devices.outcomes("acme")] == [None, {"ok": True}]


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
