"""What a device says of its runs, under loss, repetition and reconnects: each begins once and ends once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.protocol import frames
from plexus.protocol.commandruns import FINAL, MAX_STATUS_BYTES, MOST_REMEMBERED, REMEMBERED, TRANSITIONS, CommandRuns


@pytest.fixture(name="runs")
def _runs() -> CommandRuns:
    return CommandRuns()


def done(runs: CommandRuns, run_id: str = "r1", **result: Any) -> None:
    assert runs.arrive(run_id)
    for state in ("acknowledged", "running"):
        assert runs.say(run_id, state)
    assert runs.say(run_id, "succeeded", **result)


def said(runs: CommandRuns) -> list[tuple[str, int, str]]:
    return [(each.run_id, each.seq, each.state) for each in runs.take() if isinstance(each, frames.CommandStatus)]


ALL = [("r1", 1, "acknowledged"), ("r1", 2, "running"), ("r1", 3, "succeeded")]


def test_statuses_are_numbered_from_one_and_handed_out_once(runs: CommandRuns) -> None:
    done(runs)
    assert said(runs) == ALL
    assert runs.take() == []


def test_a_repeat_does_not_begin_again_and_hears_what_is_known(runs: CommandRuns) -> None:
    done(runs)
    runs.take()
    assert runs.arrive("r1") is False
    assert said(runs) == ALL


def test_a_repeat_of_what_is_acknowledged_hears_the_last_state(runs: CommandRuns) -> None:
    done(runs)
    runs.take()
    runs.acknowledged("r1", 3)
    assert runs.arrive("r1") is False
    assert said(runs) == ALL[-1:]


def test_an_acknowledgement_covers_what_is_below_it(runs: CommandRuns) -> None:
    done(runs)
    runs.take()
    runs.acknowledged("r1", 2)
    runs.acknowledged("unheard-of", 9)
    runs.connected()
    assert said(runs) == ALL[2:]


def test_after_a_reconnect_the_sync_comes_first_and_then_what_is_not_acknowledged(runs: CommandRuns) -> None:
    done(runs, "r1")
    done(runs, "r2")
    runs.take()
    runs.acknowledged("r1", 3)
    runs.connected()
    sync, *rest = runs.take()
    assert sync == frames.CommandSync((frames.SyncedRun("r1", "succeeded", 3), frames.SyncedRun("r2", "succeeded", 3)))
    assert [(each.run_id, each.seq) for each in rest if isinstance(each, frames.CommandStatus)] == [
        ("r2", 1),
        ("r2", 2),
        ("r2", 3),
    ]


def test_a_first_connection_has_nothing_to_tell(runs: CommandRuns) -> None:
    runs.connected()
    assert runs.take() == []


def test_nothing_is_said_after_the_end(runs: CommandRuns) -> None:
    done(runs)
    assert not runs.say("r1", "progress", progress=50.0)
    assert not runs.say("r1", "failed", error_code="handler_error")
    assert not runs.say("unheard-of", "running")
    assert said(runs) == ALL


def test_of_progress_that_nobody_heard_only_the_newest_is_kept(runs: CommandRuns) -> None:
    runs.arrive("r1")
    for state in ("acknowledged", "running"):
        runs.say("r1", state)
    for percent in range(50):
        runs.say("r1", "progress", progress=float(percent))
    assert said(runs) == [("r1", 1, "acknowledged"), ("r1", 2, "running"), ("r1", 3, "progress")]
    runs.say("r1", "progress", progress=60.0)
    runs.say("r1", "succeeded")
    runs.connected()
    assert said(runs) == [
        ("r1", 1, "acknowledged"),
        ("r1", 2, "running"),
        ("r1", 4, "progress"),
        ("r1", 5, "succeeded"),
    ]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"text": "x" * MAX_STATUS_BYTES}, "at most 65536 can be sent"),
        ({"text": "\u20ac" * (MAX_STATUS_BYTES // 3)}, "at most 65536 can be sent"),
        ({"set": {1}}, "the result was left out: it cannot be said in JSON"),
        ({"nan": float("nan")}, "the result was left out: it cannot be said in JSON"),
    ],
)
def test_a_result_that_no_frame_carries_is_dropped_and_the_status_is_not(
    runs: CommandRuns, result: dict[str, Any], why: str
) -> None:
    done(runs, result=result)
    last = runs.take()[-1]
    assert isinstance(last, frames.CommandStatus)
    assert (last.state, last.result) == ("succeeded", None)
    assert why in str(last.message)
    assert len(frames.dump(last).encode()) <= MAX_STATUS_BYTES


def test_a_result_that_just_fits_is_kept(runs: CommandRuns) -> None:
    frame = frames.CommandStatus("r1", 3, "succeeded", result={"text": ""})
    room = MAX_STATUS_BYTES - len(frames.dump(frame).encode())
    done(runs, result={"text": "x" * room})
    last = runs.take()[-1]
    assert isinstance(last, frames.CommandStatus)
    assert last.result == {"text": "x" * room}


def test_words_that_utf8_cannot_carry_are_still_said(runs: CommandRuns) -> None:
    runs.arrive("r1")
    runs.say("r1", "failed", error_code="handler_error", error_message="no file \udcff" + "x" * 5_000)
    (status,) = runs.take()
    assert json.loads(frames.dump(status))["error_message"].startswith("no file ?xxx")


def test_256_runs_are_remembered_and_those_that_go_on_or_are_not_acknowledged_longer(runs: CommandRuns) -> None:
    runs.arrive("open")
    for number in range(REMEMBERED):
        done(runs, str(number))
        runs.acknowledged(str(number), 3)
    assert not runs.arrive("open")
    assert not runs.arrive("1")
    assert runs.arrive("0")


def test_what_is_remembered_is_bounded_whatever_the_gateway_does(runs: CommandRuns) -> None:
    for number in range(MOST_REMEMBERED + 50):
        done(runs, str(number))
    assert len(runs._runs) == MOST_REMEMBERED


def test_the_states_are_what_the_page_says() -> None:
    assert {state for state, leads in TRANSITIONS.items() if not leads} == FINAL
    assert TRANSITIONS["acknowledged"] == {"running", "failed"}


# --- whatever the network does --------------------------------------------------------------------------------


class World:
    """A device, a gateway that keeps the highest status of each run, and the wire between them."""

    def __init__(self) -> None:
        self.runs = CommandRuns()
        self.to_do: dict[str, list[str]] = {}
        self.wire: list[frames.CommandStatus] = []
        self.acks: list[frames.CommandStatusAck] = []
        self.seen: dict[str, dict[int, str]] = {}

    def order(self, at: int) -> None:
        run_id = f"r{at}"
        if self.runs.arrive(run_id):
            assert run_id not in self.to_do, "it began twice"
            self.to_do[run_id] = ["running", "progress", "progress", "succeeded"]
            self.runs.say(run_id, "acknowledged")

    def work(self, at: int) -> None:
        if rest := self.to_do.get(f"r{at}"):
            assert self.runs.say(f"r{at}", rest.pop(0))

    def send(self, at: int) -> None:
        """One status arrives, whichever: the order of arrival is nobody's promise."""
        self.pull()
        if self.wire:
            self.hear(self.wire.pop(at % len(self.wire)))

    def repeat(self, at: int) -> None:
        self.pull()
        if self.wire:
            self.hear(self.wire[at % len(self.wire)])

    def ack(self, at: int) -> None:
        if self.acks:
            ack = self.acks.pop(at % len(self.acks))
            self.runs.acknowledged(ack.run_id, ack.seq)

    def lose_ack(self, at: int) -> None:
        if self.acks:
            self.acks.pop(at % len(self.acks))

    def reconnect(self, at: int) -> None:
        """What was on its way is lost with the connection."""
        self.pull()
        self.wire.clear()
        self.acks.clear()
        self.runs.connected()

    def pull(self) -> None:
        self.wire += [each for each in self.runs.take() if isinstance(each, frames.CommandStatus)]

    def hear(self, status: frames.CommandStatus) -> None:
        self.seen.setdefault(status.run_id, {})[status.seq] = status.state
        self.acks.append(frames.CommandStatusAck(status.run_id, max(self.seen[status.run_id])))

    def calm_down(self) -> None:
        """All work is done, and a connection lives until everything is said and acknowledged."""
        for at in range(4):
            while self.to_do.get(f"r{at}"):
                self.work(at)
        self.reconnect(0)
        self.pull()
        while self.wire:
            self.send(0)
        while self.acks:
            self.ack(0)


ACTS = ["order", "work", "work", "send", "repeat", "ack", "lose_ack", "reconnect"]


@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 3)), max_size=60))
def test_every_run_begins_once_ends_once_and_is_acknowledged_in_the_end(acts: list[tuple[str, int]]) -> None:
    world = World()
    for act, at in acts:
        getattr(world, act)(at)
    world.calm_down()
    for run_id in world.to_do:
        assert [state for state in world.seen[run_id].values() if state in FINAL] == ["succeeded"]
        assert world.seen[run_id][max(world.seen[run_id])] == "succeeded"
    world.runs.connected()
    world.pull()
    assert world.wire == []
