"""Commands at the gateway: who gets them, as a call or as a run, and what is kept of what devices say."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from plexus.domain.errors import StoreError
from plexus.gateway import commands
from plexus.gateway.asgi import HttpError
from plexus.gateway.commandstates import CALL_WAIT_S
from plexus.ports.commandbook import Step
from plexus.protocol import frames
from tests.gateway.commanding import DECLARED, Bench, Link


@pytest.fixture(name="bench")
def _bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


class TestWhoIsThere:
    def test_a_command_for_nobody_is_not_queued_and_yet_kept(self, bench: Bench) -> None:
        sent = bench.call("reboot")
        assert not sent.queued
        kept = bench.entry(sent.run_id)
        assert (kept.state, kept.attempts, kept.actor, kept.command) == ("offline", 0, "key-1", "reboot")
        assert not bench.devices.connected("acme", "rig-01")

    def test_the_newest_socket_gets_the_command_once(self, bench: Bench) -> None:
        old, new = bench.join(Link(), {}), bench.join(Link(), {})
        assert bench.call("reboot", delay_s=3).queued
        assert (old.calls, [(call.command, call.params) for call in new.calls]) == ([], [("reboot", {"delay_s": 3})])

    def test_a_socket_that_takes_no_more_is_passed_over(self, bench: Bench) -> None:
        old = bench.join(Link(), {})
        bench.join(Link(takes=False), {})
        assert bench.call("reboot").queued
        assert len(old.calls) == 1

    def test_a_command_that_no_socket_takes_was_never_sent(self, bench: Bench) -> None:
        bench.join(Link(takes=False))
        sent = bench.call("power_off")
        assert not sent.queued
        assert (bench.entry(sent.run_id).state, bench.entry(sent.run_id).attempts) == ("offline", 0)
        assert bench.join(Link()).runs == []

    def test_every_command_has_an_id_of_its_own(self, bench: Bench) -> None:
        link = bench.join(Link())
        ids = {bench.call("reboot").run_id for _ in range(3)}
        assert {call.call_id for call in link.calls} == ids
        assert len(ids) == 3

    def test_another_organisations_device_is_not_reached(self, bench: Bench) -> None:
        link = bench.join(Link())
        assert not bench.call("reboot", org="umbrella").queued
        assert not link.calls

    def test_who_left_is_not_called(self, bench: Bench) -> None:
        link = bench.join(Link())
        bench.devices.left("acme", "rig-01", link)
        bench.devices.left("acme", "rig-01", link)
        assert not bench.call("reboot").queued

    def test_what_the_newest_socket_declares_is_known_while_it_is_there(self, bench: Bench) -> None:
        described = [{"name": "reboot", "description": "Reboot"}]
        link = bench.join(Link(), DECLARED, described)
        assert bench.devices.declared("acme", "rig-01") == (list(DECLARED.values()), described)
        bench.devices.left("acme", "rig-01", link)
        assert bench.devices.declared("acme", "rig-01") == ([], ())

    def test_too_many_unacknowledged_commands_of_one_source_are_refused(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commands, "WAITING_AT_ONCE", 2)
        bench.join(Link())
        first = bench.call("reboot")
        bench.call("reboot")
        with pytest.raises(HttpError, match="2 commands wait for rig-01") as refused:
            bench.call("reboot")
        assert refused.value.status == 429
        bench.answer(first.run_id, "ack")
        assert bench.call("reboot").queued


class TestCalls:
    def test_what_a_device_says_of_a_call_is_kept(self, bench: Bench) -> None:
        bench.join(Link())
        run_id = bench.call("reboot", delay_s=3).run_id
        bench.answer(run_id, "ack")
        assert bench.entry(run_id).state == "acknowledged"
        bench.answer(run_id, "result", result={"ok": True})
        kept = bench.entry(run_id)
        assert (kept.kind, kept.state, kept.result, kept.params) == ("call", "succeeded", {"ok": True}, {"delay_s": 3})
        assert [step.state for step in kept.steps] == ["queued", "acknowledged", "succeeded"]

    def test_an_error_ends_a_call_and_nothing_is_taken_after_it(self, bench: Bench) -> None:
        bench.join(Link())
        run_id = bench.call("reboot").run_id
        bench.answer(run_id, "error", error="no power")
        bench.answer(run_id, "result", result=1)
        bench.answer(run_id, "shrug")
        assert (bench.entry(run_id).state, bench.entry(run_id).error_message) == ("failed", "no power")

    def test_a_call_is_never_sent_again(self, bench: Bench) -> None:
        bench.join(Link())
        bench.call("reboot")
        assert bench.join(Link(), {"reboot": DECLARED["power_off"]}).calls == []

    def test_a_call_that_nobody_answers_expires(self, bench: Bench) -> None:
        bench.join(Link())
        run_id = bench.call("reboot").run_id
        bench.go_on(CALL_WAIT_S - 1)
        assert bench.entry(run_id).state == "queued"
        bench.go_on(1)
        assert bench.entry(run_id).state == "expired"

    def test_a_result_too_large_to_keep_is_let_go_of_and_the_entry_says_so(self, bench: Bench) -> None:
        bench.join(Link())
        run_id = bench.call("dump").run_id
        bench.answer(run_id, "result", result="x" * 70_000)
        kept = bench.entry(run_id)
        assert (kept.state, kept.result) == ("succeeded", None)
        assert "the result is not kept" in str(kept.steps[-1].message)


class TestRuns:
    def test_a_declared_command_becomes_a_run_and_any_other_a_call(self, bench: Bench) -> None:
        link = bench.join(Link())
        sent = bench.call("power_off", outlet=3)
        bench.call("reboot")
        (order,) = link.runs
        assert order.asked == frames.CommandRun(sent.run_id, "power_off", {"outlet": 3})
        assert [call.command for call in link.calls] == ["reboot"]
        assert bench.entry(sent.run_id).kind == "run"

    def test_what_remains_of_its_time_is_told_as_it_is_when_it_leaves(self, bench: Bench) -> None:
        order = bench.order()
        assert order.at(bench.now).ttl_ms == 30_000
        assert order.at(bench.now + 0.5).ttl_ms == 29_500
        assert order.at(bench.now + 31.0).ttl_ms == 0

    def test_every_state_of_a_run_is_kept_and_every_status_acknowledged(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        assert bench.report(run_id, 1, "acknowledged") == 1
        assert bench.report(run_id, 2, "running") == 2
        assert bench.report(run_id, 3, "progress", progress=20.0, message="begun") == 3
        assert bench.report(run_id, 4, "progress", progress=80.0) == 4
        assert bench.report(run_id, 5, "succeeded", result={"ok": True}) == 5
        kept = bench.entry(run_id)
        assert (kept.state, kept.seq, kept.result) == ("succeeded", 5, {"ok": True})
        assert [(step.state, step.progress) for step in kept.steps] == [
            ("queued", None),
            ("acknowledged", None),
            ("running", None),
            ("running", 80.0),
            ("succeeded", None),
        ]

    def test_a_status_that_is_older_than_what_is_known_is_acknowledged_and_changes_nothing(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 3, "succeeded")
        assert bench.report(run_id, 1, "acknowledged") == 3
        assert (bench.entry(run_id).state, bench.entry(run_id).seq) == ("succeeded", 3)

    def test_a_final_state_is_the_last(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 1, "failed", error_code="busy")
        assert bench.report(run_id, 2, "running") == 2
        assert (bench.entry(run_id).state, bench.entry(run_id).error_code) == ("failed", "busy")

    def test_a_state_that_nobody_knows_is_acknowledged_and_passed_over(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        assert bench.report(run_id, 1, "pondering") == 1
        assert bench.entry(run_id).state == "queued"

    def test_a_run_that_is_in_no_book_is_acknowledged_and_leaves_no_trace(self, bench: Bench) -> None:
        assert bench.report("older", 4, "succeeded") == 4
        assert bench.book.entries("acme", "rig-01") == []

    def test_a_sync_is_answered_with_what_is_known(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 2, "running")
        runs = (frames.SyncedRun(run_id, "succeeded", 3), frames.SyncedRun("unheard-of", "running", 2))
        assert bench.heard(frames.CommandSync(runs)) == [frames.CommandStatusAck(run_id, 2)]

    def test_no_device_speaks_for_the_run_of_another(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 9, "failed", source_id="rig-02")
        assert bench.entry(run_id).state == "queued"

    def test_texts_of_a_device_are_cut(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 1, "failed", error_code="c" * 9_999, error_message="m" * 9_999, message="n" * 9_999)
        kept = bench.entry(run_id)
        assert (len(str(kept.error_code)), len(str(kept.error_message)), len(str(kept.steps[-1].message))) == (
            64,
            2_000,
            2_000,
        )


class TestTime:
    def test_a_run_that_is_not_acknowledged_expires_by_itself(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.go_on(29.0)
        assert bench.entry(run_id).state == "queued"
        bench.go_on(1.0)
        kept = bench.entry(run_id)
        assert (kept.state, kept.steps[-1]) == ("expired", Step(bench.wall_ms, "expired"))

    def test_a_run_that_is_acknowledged_does_not(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.report(run_id, 1, "acknowledged")
        bench.go_on(3_600.0)
        assert bench.entry(run_id).state == "acknowledged"

    def test_what_a_device_says_after_that_still_counts(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.go_on(30.0)
        bench.report(run_id, 1, "failed", error_code="expired_on_arrival")
        kept = bench.entry(run_id)
        assert (kept.state, kept.error_code) == ("failed", "expired_on_arrival")
        assert [step.state for step in kept.steps] == ["queued", "expired", "failed"]

    def test_a_step_of_the_wall_clock_expires_nothing(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.wall_ms += 86_400_000.0
        bench.go_on(1.0)
        assert bench.entry(run_id).state == "queued"

    def test_an_expiry_that_cannot_be_kept_is_kept_the_next_time(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.book.failure = StoreError("commands.db: disk full")
        bench.go_on(30.0)
        bench.book.failure = None
        assert bench.entry(run_id).state == "queued"
        bench.go_on(1.0)
        assert bench.entry(run_id).state == "expired"


class TestSendingAgain:
    def test_a_harmless_run_that_nobody_answered_is_sent_again_with_what_remains(self, bench: Bench) -> None:
        first = bench.order("power_off")
        bench.devices.left("acme", "rig-01", bench.link)
        bench.go_on(10.0)
        back = bench.join(Link())
        (order,) = back.runs
        assert order.at(bench.now) == attrs.evolve(first.asked, ttl_ms=20_000, attempt=2)
        kept = bench.entry(first.asked.run_id)
        assert (kept.state, kept.attempts, kept.steps[-1].attempt) == ("queued", 2, 2)

    def test_a_run_that_may_not_be_done_twice_is_not(self, bench: Bench) -> None:
        bench.order("fire")
        assert bench.join(Link()).runs == []

    def test_a_run_that_the_device_answered_is_not(self, bench: Bench) -> None:
        bench.report(bench.order().asked.run_id, 1, "acknowledged")
        assert bench.join(Link()).runs == []

    def test_a_run_that_expired_is_not(self, bench: Bench) -> None:
        bench.order()
        bench.now += 30.0
        assert bench.join(Link()).runs == []

    def test_a_run_that_is_declared_no_more_is_not(self, bench: Bench) -> None:
        bench.order()
        assert bench.join(Link(), {}).runs == []

    def test_an_answer_that_overtakes_the_note_of_a_second_sending_stands(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id

        async def back_with_an_answer() -> None:
            bench.devices.joined("acme", "rig-01", Link(), DECLARED)
            await bench.devices.heard("acme", "rig-01", frames.CommandStatus(run_id, 1, "acknowledged"))
            await bench.devices.settle()

        bench.run(back_with_an_answer())
        assert (bench.entry(run_id).state, bench.entry(run_id).attempts) == ("acknowledged", 2)


class TestARestart:
    def test_a_harmless_run_is_sent_again_by_the_next_gateway_with_what_remains(self, bench: Bench) -> None:
        first = bench.order("power_off")
        bench.restart(after_s=10.0)
        (order,) = bench.join(Link()).runs
        assert order.at(bench.now) == attrs.evolve(first.asked, ttl_ms=20_000, attempt=2)

    def test_a_run_that_may_not_be_done_twice_is_not_and_expires(self, bench: Bench) -> None:
        run_id = bench.order("fire").asked.run_id
        bench.restart(after_s=10.0)
        assert bench.join(Link()).runs == []
        bench.go_on(20.0)
        assert bench.entry(run_id).state == "expired"

    def test_a_run_whose_time_went_by_meanwhile_is_expired_and_not_sent(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.restart(after_s=31.0)
        assert bench.join(Link()).runs == []
        bench.go_on(0.0)
        assert bench.entry(run_id).state == "expired"

    def test_where_the_wall_clock_went_back_nothing_is_sent_again(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.restart(after_s=-3_600.0)
        assert bench.join(Link()).runs == []
        bench.go_on(0.0)
        assert bench.entry(run_id).state == "expired"

    def test_the_result_of_a_run_from_before_is_taken(self, bench: Bench) -> None:
        run_id = bench.order("fire").asked.run_id
        bench.report(run_id, 1, "acknowledged")
        bench.restart(after_s=600.0)
        runs = (frames.SyncedRun(run_id, "succeeded", 3),)
        assert bench.heard(frames.CommandSync(runs)) == [frames.CommandStatusAck(run_id, 1)]
        assert bench.report(run_id, 3, "succeeded", result=[1]) == 3
        assert (bench.entry(run_id).state, bench.entry(run_id).result) == ("succeeded", [1])

    def test_a_run_that_was_answered_before_is_not_sent_again(self, bench: Bench) -> None:
        bench.report(bench.order().asked.run_id, 1, "acknowledged")
        bench.restart(after_s=1.0)
        assert bench.join(Link()).runs == []


class TestTheTrail:
    def test_every_command_is_in_it_with_how_it_ended(self, bench: Bench) -> None:
        run_id = bench.order("fire").asked.run_id
        bench.report(run_id, 1, "running")
        bench.report(run_id, 2, "failed", error_code="busy")
        assert bench.trail() == [
            ("command.send", "key-1", "rig-01", {"run_id": run_id, "command": "fire", "kind": "run"}),
            (
                "command.end",
                "device-key",
                "rig-01",
                {"run_id": run_id, "command": "fire", "state": "failed", "error_code": "busy"},
            ),
        ]

    def test_so_are_those_that_were_never_sent_and_those_that_expired(self, bench: Bench) -> None:
        bench.call("reboot")
        bench.order()
        bench.go_on(30.0)
        assert [(action, actor, detail.get("state")) for action, actor, _subject, detail in bench.trail()] == [
            ("command.send", "key-1", None),
            ("command.end", "local", "offline"),
            ("command.send", "key-1", None),
            ("command.end", "local", "expired"),
        ]

    def test_a_command_that_cannot_be_kept_is_not_sent(self, bench: Bench) -> None:
        link = bench.join(Link())
        bench.book.failure = StoreError("commands.db: disk full")
        with pytest.raises(StoreError, match="disk full"):
            bench.call("power_off")
        assert link.runs == []

    def test_a_status_that_cannot_be_kept_is_not_acknowledged(self, bench: Bench) -> None:
        run_id = bench.order().asked.run_id
        bench.book.failure = StoreError("commands.db: disk full")
        said = frames.CommandStatus(run_id, 1, "acknowledged")
        assert bench.heard(said) == ()
        bench.book.failure = None
        assert bench.heard(said) == [frames.CommandStatusAck(run_id, 1)]
        assert bench.entry(run_id).state == "acknowledged"

    def test_who_goes_away_while_a_command_is_kept_does_not_tear_it(self, bench: Bench) -> None:
        link = bench.join(Link())

        async def ask_and_leave() -> None:
            asking = bench.begin(bench.devices.call("acme", "rig-01", "power_off", {}))
            await bench.book.entered()
            asking.cancel()
            bench.book.let_go()
            await bench.devices.settle()

        bench.book.hold()
        bench.run(ask_and_leave())
        assert len(link.runs) == 1
