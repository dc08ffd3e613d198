"""Commands over real sockets: what travels, and what is known of it afterwards."""

from __future__ import annotations

from plexus.gateway import Gateway
from plexus.ports.commandbook import CommandEntry
from tests.support.gateway import device, http, make_key
from tests.support.waiting import eventually


def states(gateway: Gateway) -> list[CommandEntry]:
    """The commands of drone-01, newest first."""
    return [entry for _number, entry in gateway.core.devices.book.entries("default", "drone-01")]


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
            (kept,) = states(gateway)
            assert (kept.state, kept.actor) == ("acknowledged", gateway.core.keyring.list()[0].key_id)

    def test_a_bad_declaration_is_named_and_the_others_stand(self, gateway: Gateway) -> None:
        bad = {"name": "Power", "params": {}}
        with device(gateway, protocol=1, commands=[bad, TYPED]) as wire, http(gateway) as client:
            error = wire.hear()
            assert (error["type"], error["code"]) == ("error", "invalid_command")
            assert "'Power'" in error["detail"]
            client.post("/v1/sources/drone-01/commands", json={"command": "power_off", "params": {"outlet": 1}})
            assert wire.hear()["type"] == "command_run"

    def test_what_is_no_declaration_at_all_is_named_and_the_connection_goes_on(self, gateway: Gateway) -> None:
        with device(gateway, protocol=1, commands=["x", TYPED]) as wire, http(gateway) as client:
            assert wire.hear()["code"] == "invalid_command"
            client.post("/v1/sources/drone-01/commands", json={"command": "power_off", "params": {"outlet": 1}})
            assert wire.hear()["type"] == "command_run"
        with device(gateway, protocol=1, acks=True, commands={"name": "power_off"}) as wire:
            assert wire.hear()["code"] == "invalid_command"
            wire.telemetry({"metric": "rpm", "value": 1}, seq=1)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 1}

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
