"""Commands at the gateway: who gets them, as a call or as a run, and what is kept of what devices say."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.declaration import Declaration
from plexus.gateway import Gateway
from plexus.gateway.commands import OUTCOMES_KEPT, RUNS_KEPT, Devices, Order, RunOrder, Sent
from plexus.protocol import frames
from tests.support.gateway import device, http, make_key
from tests.support.waiting import eventually

DECLARED = {
    "power_off": Declaration("power_off", idempotent=True, expires_in_s=30.0),
    "fire": Declaration("fire", expires_in_s=30.0),
}


class Link:
    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.calls: list[CommandCall] = []
        self.runs: list[RunOrder] = []

    def call(self, order: Order) -> bool:
        if self.takes and isinstance(order, CommandCall):
            self.calls.append(order)
        elif self.takes and isinstance(order, RunOrder):
            self.runs.append(order)
        return self.takes


class TestDevices:
    def test_a_command_for_nobody_is_not_queued(self) -> None:
        devices = Devices()
        assert devices.call("acme", "rig-01", "reboot", {}) == Sent(queued=False)
        assert not devices.connected("acme", "rig-01")

    def test_the_newest_socket_gets_the_command_once(self) -> None:
        devices, old, new = Devices(), Link(), Link()
        devices.joined("acme", "rig-01", old)
        devices.joined("acme", "rig-01", new)
        assert devices.call("acme", "rig-01", "reboot", {"delay_s": 3}).queued
        assert (old.calls, [(call.command, call.params) for call in new.calls]) == ([], [("reboot", {"delay_s": 3})])

    def test_a_socket_that_takes_no_more_is_passed_over(self) -> None:
        devices, old, new = Devices(), Link(), Link(takes=False)
        devices.joined("acme", "rig-01", old)
        devices.joined("acme", "rig-01", new)
        assert devices.call("acme", "rig-01", "reboot", {}).queued
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
        assert devices.call("umbrella", "rig-01", "reboot", {}) == Sent(queued=False)
        assert not link.calls

    def test_who_left_is_not_called(self) -> None:
        devices, link = Devices(), Link()
        devices.joined("acme", "rig-01", link)
        devices.left("acme", "rig-01", link)
        devices.left("acme", "rig-01", link)
        assert devices.call("acme", "rig-01", "reboot", {}) == Sent(queued=False)

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


class Bench:
    """Devices on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.devices = Devices(lambda: self.now)
        self.link = Link()

    def join(self, link: Link | None = None) -> None:
        self.devices.joined("acme", "rig-01", link or self.link, DECLARED)

    def order(self, command: str = "power_off") -> RunOrder:
        self.devices.call("acme", "rig-01", command, {"outlet": 3})
        return self.link.runs[-1]

    def report(self, run_id: str, seq: int, state: str, source_id: str = "rig-01", **fields: Any) -> int:
        status = frames.CommandStatus(run_id, seq, state, **fields)
        return self.devices.reported("acme", source_id, status).seq

    def states(self) -> list[tuple[str, str, int]]:
        return [(run.source_id, run.state, run.seq) for run in self.devices.runs("acme")]


@pytest.fixture(name="bench")
def _bench() -> Bench:
    made = Bench()
    made.join()
    return made


class TestRuns:
    def test_a_declared_command_becomes_a_run_and_any_other_a_call(self, bench: Bench) -> None:
        sent = bench.devices.call("acme", "rig-01", "power_off", {"outlet": 3})
        bench.devices.call("acme", "rig-01", "reboot", {})
        (order,) = bench.link.runs
        assert (order.asked.run_id, order.asked.command, order.asked.params) == (
            sent.run_id,
            "power_off",
            {"outlet": 3},
        )
        assert [call.command for call in bench.link.calls] == ["reboot"]

    def test_what_remains_of_its_time_is_told_as_it_is_when_it_leaves(self, bench: Bench) -> None:
        order = bench.order()
        assert order.at(bench.now).ttl_ms == 30_000
        assert order.at(bench.now + 0.5).ttl_ms == 29_500
        assert order.at(bench.now + 31.0).ttl_ms == 0

    def test_the_last_state_of_a_run_is_kept_and_every_status_acknowledged(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        assert bench.states() == [("rig-01", "", 0)]
        assert bench.report(run_id, 1, "acknowledged") == 1
        assert bench.report(run_id, 2, "running") == 2
        assert bench.report(run_id, 3, "succeeded", result={"ok": True}) == 3
        assert bench.states() == [("rig-01", "succeeded", 3)]
        kept = bench.devices.runs("acme")[0].status
        assert kept is not None
        assert kept.result == {"ok": True}

    def test_a_status_that_is_older_than_what_is_known_is_acknowledged_and_changes_nothing(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 3, "succeeded")
        assert bench.report(run_id, 1, "acknowledged") == 3
        assert bench.states() == [("rig-01", "succeeded", 3)]

    def test_a_final_state_is_the_last(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 1, "failed", error_code="busy")
        assert bench.report(run_id, 2, "running") == 2
        assert bench.states() == [("rig-01", "failed", 1)]

    def test_a_run_from_before_this_process_is_taken_in_and_acknowledged(self, bench: Bench) -> None:
        assert bench.report("older", 4, "succeeded") == 4
        assert bench.states() == [("rig-01", "succeeded", 4)]

    def test_a_sync_is_answered_with_what_is_known(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 2, "running")
        runs = (frames.SyncedRun(run_id, "succeeded", 3), frames.SyncedRun("unheard-of", "running", 2))
        assert bench.devices.synced("acme", "rig-01", frames.CommandSync(runs)) == [frames.CommandStatusAck(run_id, 2)]

    def test_no_device_speaks_for_the_run_of_another(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 9, "failed", source_id="rig-02")
        assert bench.states() == [("rig-01", "", 0), ("rig-02", "failed", 9)]

    def test_the_runs_that_are_kept_are_bounded(self, bench: Bench) -> None:
        for number in range(RUNS_KEPT + 3):
            bench.report(str(number), 1, "failed")
        assert len(bench.devices.runs("acme")) == RUNS_KEPT
        assert bench.devices.runs("acme")[0].order.asked.run_id == "3"
        assert bench.devices.runs("umbrella") == []

    def test_a_result_too_large_to_hold_is_let_go_but_not_its_status(self, bench: Bench) -> None:
        bench.report("1", 1, "succeeded", result={"text": "x" * 70_000})
        kept = bench.devices.runs("acme")[0].status
        assert kept is not None
        assert (kept.state, kept.result) == ("succeeded", None)


class TestSendingAgain:
    def test_a_harmless_run_that_nobody_answered_is_sent_again_with_what_remains(self, bench: Bench) -> None:
        bench.order("power_off")
        bench.devices.left("acme", "rig-01", bench.link)
        bench.now += 10.0
        back = Link()
        bench.join(back)
        (order,) = back.runs
        assert order.at(bench.now) == attrs.evolve(bench.link.runs[0].asked, ttl_ms=20_000, attempt=2)

    def test_a_run_that_may_not_be_done_twice_is_not(self, bench: Bench) -> None:
        bench.order("fire")
        back = Link()
        bench.join(back)
        assert back.runs == []

    def test_a_run_that_the_device_answered_is_not(self, bench: Bench) -> None:
        bench.report(bench.order().asked.run_id, 1, "acknowledged")
        back = Link()
        bench.join(back)
        assert back.runs == []

    def test_a_run_that_expired_is_not(self, bench: Bench) -> None:
        bench.order()
        bench.now += 30.0
        back = Link()
        bench.join(back)
        assert back.runs == []


TYPED = {"name": "power_off", "expires_in_s": 30.0, "params": {"outlet": {"type": "integer"}}}


class TestSocket:
    def test_a_device_of_protocol_1_is_answered_so(self, gateway: Gateway) -> None:
        with device(gateway, protocol=1, commands=[TYPED]) as wire:
            answer = wire.authenticated
        assert (answer["protocol"], answer["max_frame_bytes"]) == (1, gateway.core.limits.message_bytes)

    def test_a_typed_command_travels_as_a_run_and_its_statuses_are_kept(self, gateway: Gateway) -> None:
        with device(gateway, protocol=1, commands=[TYPED]) as wire, http(gateway) as client:
            body = {"command": "power_off", "params": {"outlet": 3}}
            answer = client.post("/v1/sources/drone-01/commands", json=body).json()
            run = wire.hear()
            assert 0 < run.pop("ttl_ms") <= 30_000
            assert run == {
                "type": "command_run",
                "run_id": answer["run_id"],
                "command": "power_off",
                "params": {"outlet": 3},
                "attempt": 1,
            }
            wire.say(type="command_status", run_id=run["run_id"], seq=1, state="acknowledged")
            assert wire.hear() == {"type": "command_status_ack", "run_id": run["run_id"], "seq": 1}
            wire.say(type="command_sync", runs=[{"run_id": run["run_id"], "state": "running", "seq": 2}])
            assert wire.hear() == {"type": "command_status_ack", "run_id": run["run_id"], "seq": 1}
            assert [kept.state for kept in gateway.core.devices.runs("default")] == ["acknowledged"]

    def test_a_bad_declaration_is_named_and_the_others_stand(self, gateway: Gateway) -> None:
        bad = {"name": "Power", "params": {}}
        with device(gateway, protocol=1, commands=[bad, TYPED]) as wire, http(gateway) as client:
            error = wire.hear()
            assert (error["type"], error["code"]) == ("error", "invalid_command")
            assert "'Power'" in error["detail"]
            client.post("/v1/sources/drone-01/commands", json={"command": "power_off", "params": {"outlet": 1}})
            assert wire.hear()["type"] == "command_run"

    def test_a_name_that_is_not_declared_travels_as_a_call(self, gateway: Gateway) -> None:
        with device(gateway, protocol=1, commands=[TYPED]) as wire, http(gateway) as client:
            client.post("/v1/sources/drone-01/commands", json={"command": "reboot"})
            assert wire.hear()["type"] == "typed_command"

    def test_a_device_without_the_protocol_gets_calls_whatever_it_declares(self, gateway: Gateway) -> None:
        with device(gateway, commands=[TYPED]) as wire, http(gateway) as client:
            client.post("/v1/sources/drone-01/commands", json={"command": "power_off", "params": {"outlet": 1}})
            assert wire.hear()["type"] == "typed_command"

    def test_a_key_that_sends_data_of_its_source_may_declare_and_a_reader_may_not_command(
        self, gateway: Gateway
    ) -> None:
        key = make_key(gateway, "write", source_id="drone-01")
        with device(gateway, key=key, protocol=1, commands=[TYPED]) as wire, http(gateway, key) as client:
            refused = client.post("/v1/sources/drone-01/commands", json={"command": "power_off"})
            assert refused.status_code == 403
            wire.say(type="heartbeat", source_id="drone-01")
            eventually(lambda: gateway.core.devices.connected("default", "drone-01"))
