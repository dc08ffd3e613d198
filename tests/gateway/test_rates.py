"""How often somebody may send: the bucket itself, a socket with and without batch names, and HTTP."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import attrs
import pytest

from plexus.adapters.bus.memory import MemoryBus
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.registry.memory import MemoryRegistry
from plexus.gateway import devices
from plexus.gateway.asgi import Message
from plexus.gateway.assembly import Ports, build_core
from plexus.gateway.committer import Committer
from plexus.gateway.core import Limits
from plexus.gateway.intake import RATE_LIMITED
from plexus.gateway.rates import FORGET_ABOVE, Bucket, SourceRates, retry_after
from plexus.gateway.settings import Settings
from tests.gateway.test_bounds import limited, rejected
from tests.gateway.test_ingest import STREAM, point, post, stored
from tests.gateway.test_remotewrite import packed, series, write
from tests.support.gateway import KEY, PATIENCE_S, MoodyStore, device, http, running
from tests.support.waiting import eventually

SLOW = 0.001
"""Messages a second: in a test the next one comes never."""


class Watch:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def by(source_id: str, value: int) -> dict[str, Any]:
    """A point that names its source."""
    return {**point(value), "source_id": source_id}


class TestBucket:
    def test_a_burst_goes_through_and_then_one_for_each_turn(self) -> None:
        watch = Watch()
        bucket = Bucket(8.0, 3, watch)
        assert [bucket.take() for _ in range(4)] == [True, True, True, False]
        watch.now += 0.125
        assert [bucket.take(), bucket.take()] == [True, False]

    def test_a_pause_fills_it_up_to_the_burst_and_not_beyond(self) -> None:
        watch = Watch()
        bucket = Bucket(10.0, 2, watch)
        assert bucket.take()
        watch.now += 1_000
        assert [bucket.take() for _ in range(3)] == [True, True, False]

    def test_what_is_owed_is_paid_by_waiting(self) -> None:
        watch = Watch()
        bucket = Bucket(4.0, 1, watch)
        assert [bucket.owe(), bucket.owe(), bucket.owe()] == [0.0, 0.25, 0.5]
        watch.now += 0.5
        assert bucket.next_s == pytest.approx(0.25)

    def test_a_rate_of_zero_is_no_limit(self) -> None:
        bucket = Bucket(0.0, 1, Watch())
        assert all(bucket.take() for _ in range(1_000))
        assert (bucket.owe(), bucket.next_s) == (0.0, 0.0)

    def test_what_is_given_back_can_be_taken_again(self) -> None:
        bucket = Bucket(1.0, 1, Watch())
        assert bucket.take()
        bucket.give_back()
        assert [bucket.take(), bucket.take()] == [True, False]

    def test_whoever_must_wait_is_told_whole_seconds(self) -> None:
        assert [retry_after(seconds)[1] for seconds in (0.0, 0.2, 1.0, 1.1)] == [b"1", b"1", b"1", b"2"]


class TestSources:
    def test_each_source_has_its_own_in_each_organisation(self) -> None:
        rates = SourceRates(1.0, 1, Watch())
        assert rates.of("a", "rig").take()
        assert not rates.of("a", "rig").take()
        assert rates.of("b", "rig").take()
        assert rates.of("a", "other").take()

    def test_sources_that_pause_are_forgotten_and_busy_ones_are_not(self) -> None:
        watch = Watch()
        rates = SourceRates(1.0, 1, watch)
        for number in range(FORGET_ABOVE):
            rates.of("a", f"rig-{number}").take()
        watch.now += 10
        rates.of("a", "busy").take()
        for number in range(FORGET_ABOVE):
            rates.of("a", f"new-{number}").take()
        assert len(rates._buckets) < 2 * FORGET_ABOVE
        assert not rates.of("a", "busy").take()


class TestSocket:
    def test_a_message_over_the_limit_is_dropped_whole_and_refused_by_number(self) -> None:
        with limited(connection_messages_s=SLOW, burst_messages=2) as gateway, device(gateway, acks=True) as wire:
            for seq in (1, 2, 3):
                wire.telemetry(point(seq), point(seq), seq=seq)
            heard = [wire.hear()]
            while heard[-1].get("seq") != 3:
                heard.append(wire.hear())
            assert heard[-1]["type"] == "error"
            assert heard[-1]["code"] == RATE_LIMITED
            assert [answer["type"] for answer in heard[:-1]] == ["telemetry_ack"] * (len(heard) - 1)
            assert stored(gateway, "drone-01") == [1, 1, 2, 2]
            assert rejected(gateway, "rate_limited") == 1

    def test_the_refusal_waits_until_everything_below_it_is_stored(self) -> None:
        store = MoodyStore()
        settings = Settings(limits=Limits(connection_messages_s=SLOW, burst_messages=1))
        with running(store=store, settings=settings) as gateway:
            with device(gateway, acks=True) as wire:
                store.open.clear()
                wire.telemetry(point(1), seq=1)
                assert store.entered.acquire(timeout=10)
                wire.telemetry(point(2), seq=2)
                eventually(lambda: rejected(gateway, "rate_limited") == 1)
                store.open.set()
                heard = [wire.hear(), wire.hear()]
            assert [(one["type"], one["seq"]) for one in heard] == [("telemetry_ack", 1), ("error", 2)]

    def test_a_source_is_limited_over_all_of_its_sockets(self) -> None:
        with (
            limited(source_messages_s=SLOW, burst_messages=1) as gateway,
            device(gateway, acks=True) as first,
            device(gateway, acks=True) as second,
            device(gateway, "drone-02", acks=True) as other,
        ):
            first.telemetry(point(1), seq=1)
            assert first.hear()["type"] == "telemetry_ack"
            second.telemetry(point(2), seq=1)
            assert second.hear()["code"] == RATE_LIMITED
            other.telemetry(point(3), seq=1)
            assert other.hear()["type"] == "telemetry_ack"

    @pytest.mark.parametrize(
        ("limits", "named"),
        [
            (Limits(connection_messages_s=0.5, burst_messages=1), "drone-01"),
            (Limits(source_messages_s=0.5, burst_messages=1), "drone-01"),
            (Limits(source_messages_s=0.5, burst_messages=1), "drone-02"),
        ],
        ids=["by its connection", "by its source", "by another source that it names"],
    )
    def test_a_device_that_names_its_batches_is_slowed_down_and_loses_nothing(
        self, monkeypatch: pytest.MonkeyPatch, limits: Limits, named: str
    ) -> None:
        monkeypatch.setattr(devices, "LONGEST_WAIT_S", 0.001)
        asyncio.run(self.slowed_down(limits, named))

    async def slowed_down(self, limits: Limits, named: str) -> None:
        watch, said, heard = Watch(), asyncio.Queue[Message](), asyncio.Queue[Any]()
        store = MoodyStore()
        ports = Ports(store, MemoryBus(), MemoryKeyring(), MemoryRegistry())
        core = build_core(ports, settings=Settings(limits=limits), monotonic=watch)
        core.keyring.create("default", "tests", ["write"], secret=KEY)
        # The commits' own time goes by.
        own = Committer(store, ports.bus, asyncio.get_running_loop().time)
        core = attrs.evolve(core, committer=own)
        own.start()

        def say(**frame: Any) -> None:
            said.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

        async def send(message: Message) -> None:
            if message["type"] == "websocket.send":
                heard.put_nowait(json.loads(message["text"]))

        task = asyncio.ensure_future(devices.DeviceHandler(core)({"headers": []}, said.get, send))
        say(type="device_auth", api_key=KEY, source_id="drone-01", ext={"batch": 1})
        assert (await heard.get())["type"] == "authenticated"
        for n in range(1, 6):
            name = {"stream": STREAM, "n": n, "base": 1, "digest": f"{n:02d}"}
            say(type="telemetry", points=[{**point(n), "source_id": named}], batch=name)
        # The burst; then one that is taken, and paid for before the next one is read.
        await asyncio.to_thread(eventually, lambda: store.points() == 2)
        for n in range(3, 6):
            watch.now += 1.75
            for _ in range(100):
                await asyncio.sleep(0)
            assert (said.qsize(), store.points()) == (6 - n, n - 1), "it is read before its time"
            watch.now += 0.25
            await asyncio.to_thread(eventually, functools.partial(lambda n: store.points() == n, n))
        answers = [await asyncio.wait_for(heard.get(), PATIENCE_S) for _ in range(5)]
        assert [(answer["type"], answer["upto"]) for answer in answers] == [("batch_ack", n) for n in range(1, 6)]
        watch.now += 2.0  # what the last one owes
        said.put_nowait({"type": "websocket.disconnect"})
        await asyncio.wait_for(task, PATIENCE_S)
        await own.stop()

    def test_a_source_is_limited_also_where_another_socket_names_it(self) -> None:
        with (
            limited(source_messages_s=SLOW, burst_messages=1) as gateway,
            device(gateway, "gate-01", acks=True) as first,
            device(gateway, "gate-02", acks=True) as second,
            device(gateway, "gate-03", acks=True) as third,
        ):
            first.telemetry(by("rig-01", 1), seq=1)
            assert first.hear()["type"] == "telemetry_ack"
            second.telemetry(by("rig-02", 2), by("rig-01", 2), point(2), seq=1)
            assert second.hear()["code"] == RATE_LIMITED
            # What the others had, they have still: neither the sender nor rig-02 has sent anything.
            second.telemetry(point(3), seq=2)
            assert second.hear()["type"] == "telemetry_ack"
            third.telemetry(by("rig-02", 4), seq=1)
            assert third.hear()["type"] == "telemetry_ack"
            assert (stored(gateway, "rig-01"), stored(gateway, "rig-02")) == ([1], [4])

    def test_its_own_source_counts_also_where_no_point_has_it(self) -> None:
        with limited(source_messages_s=SLOW, burst_messages=1) as gateway, device(gateway, acks=True) as wire:
            wire.telemetry(by("rig-01", 1), seq=1)
            assert wire.hear()["type"] == "telemetry_ack"
            wire.telemetry(by("rig-02", 2), seq=2)
            assert wire.hear()["code"] == RATE_LIMITED

    def test_its_own_connection_gets_back_what_another_source_refuses(self) -> None:
        limits = {"source_messages_s": SLOW, "connection_messages_s": SLOW, "burst_messages": 2}
        with limited(**limits) as gateway, device(gateway, acks=True) as wire:
            for seq, spent in enumerate(["rig-01", "rig-02"], start=1):
                assert post(gateway, {"source_id": spent, "points": [point(seq), point(seq)]})[0] == 200
                assert post(gateway, {"source_id": spent, "points": [point(seq), point(seq)]})[0] == 200
                wire.telemetry(by(spent, seq), seq=seq)
                assert wire.hear()["code"] == RATE_LIMITED
            wire.telemetry(point(3), seq=3)
            assert wire.hear() == {"type": "telemetry_ack", "seq": 3}


class TestHttp:
    def test_a_message_over_the_limit_is_answered_as_dropped(self) -> None:
        with limited(source_messages_s=SLOW, burst_messages=1) as gateway:
            body = {"source_id": "rig-01", "points": [point(1), point(2)]}
            assert post(gateway, body)[1]["count"] == 2
            assert post(gateway, body) == (200, {"success": True, "count": 0, "dropped": 2, "source_id": "rig-01"})
            assert stored(gateway) == [1, 2]

    def test_every_source_that_a_message_names_counts(self) -> None:
        with limited(source_messages_s=SLOW, burst_messages=1) as gateway:
            assert post(gateway, {"source_id": "gate-01", "points": [by("rig-01", 1)]})[1]["count"] == 1
            both = {"source_id": "gate-02", "points": [by("rig-02", 2), by("rig-01", 2)]}
            assert post(gateway, both) == (200, {"success": True, "count": 0, "dropped": 2, "source_id": "gate-02"})
            # Neither the envelope's source nor rig-02 has used what it has.
            assert post(gateway, {"source_id": "gate-02", "points": [by("rig-02", 3)]})[1]["count"] == 1
            assert (stored(gateway, "rig-01"), stored(gateway, "rig-02")) == ([1], [3])
            assert rejected(gateway, "rate_limited") == 1

    def test_the_source_of_the_envelope_counts_also_where_no_point_has_it(self) -> None:
        with limited(source_messages_s=SLOW, burst_messages=1) as gateway:
            assert post(gateway, {"source_id": "gate-01", "points": [by("rig-01", 1)]})[1]["count"] == 1
            assert post(gateway, {"source_id": "gate-01", "points": [by("rig-02", 1)]})[1]["count"] == 0

    def test_whoever_is_to_come_again_waits_for_the_slowest_of_its_sources(self) -> None:
        with limited(source_messages_s=0.01, burst_messages=2) as gateway, http(gateway) as client:
            for points in ([point(1), by("rig-02", 1)], [point(2)]):
                assert post(gateway, {"source_id": "rig-01", "points": points})[1]["dropped"] == 0
            batch = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}
            points = [by("rig-02", 3), by("rig-01", 3)]
            answer = client.post("/ingest", json={"source_id": "rig-02", "points": points, "batch": batch})
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "100")

    def test_remote_write_meets_it_for_each_job(self) -> None:
        with limited(source_messages_s=SLOW, burst_messages=1) as gateway:
            assert post(gateway, {"source_id": "rig-02", "points": [point(1)]})[1]["count"] == 1
            sent = packed(*(series({"__name__": "up", "job": job}, [(1.0, 1)]) for job in ("rig-01", "rig-02")))
            assert write(gateway, sent)[0] == 429
            assert stored(gateway, "rig-01") == []

    def test_one_with_a_batch_name_is_sent_again_later(self) -> None:
        with limited(source_messages_s=0.5, burst_messages=1) as gateway, http(gateway) as client:
            batch = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}
            body = {"source_id": "rig-01", "points": [point(1)], "batch": batch}
            assert client.post("/ingest", json=body).status_code == 200
            answer = client.post("/ingest", json={**body, "batch": {**batch, "n": 2}})
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "2"
            assert stored(gateway) == [1]
