"""How often somebody may send: the bucket itself, a socket with and without batch names, and HTTP."""

from __future__ import annotations

import pytest

from plexus.gateway.core import Limits
from plexus.gateway.intake import RATE_LIMITED
from plexus.gateway.rates import FORGET_ABOVE, Bucket, SourceRates, retry_after
from plexus.gateway.settings import Settings
from tests.gateway.test_bounds import limited, rejected
from tests.gateway.test_ingest import STREAM, point, post, stored
from tests.support.gateway import MoodyStore, device, http, running
from tests.support.waiting import eventually

SLOW = 0.001
"""Messages a second: in a test the next one comes never."""


class Watch:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


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

    def test_a_device_that_names_its_batches_is_slowed_down_and_loses_nothing(self) -> None:
        with limited(connection_messages_s=50.0, burst_messages=1) as gateway:
            with device(gateway, ext={"batch": 1}) as wire:
                for n in range(1, 6):
                    wire.telemetry(point(n), batch={"stream": STREAM, "n": n, "base": 1, "digest": f"{n:02d}"})
                answers = [wire.hear() for _ in range(5)]
            assert [(answer["type"], answer["upto"]) for answer in answers] == [("batch_ack", n) for n in range(1, 6)]
            assert stored(gateway, "drone-01") == [1, 2, 3, 4, 5]


class TestHttp:
    def test_a_message_over_the_limit_is_answered_as_dropped(self) -> None:
        with limited(source_messages_s=SLOW, burst_messages=1) as gateway:
            body = {"source_id": "rig-01", "points": [point(1), point(2)]}
            assert post(gateway, body)[1]["count"] == 2
            assert post(gateway, body) == (200, {"success": True, "count": 0, "dropped": 2, "source_id": "rig-01"})
            assert stored(gateway) == [1, 2]

    def test_one_with_a_batch_name_is_sent_again_later(self) -> None:
        with limited(source_messages_s=0.5, burst_messages=1) as gateway, http(gateway) as client:
            batch = {"stream": STREAM, "n": 1, "base": 1, "digest": "ab"}
            body = {"source_id": "rig-01", "points": [point(1)], "batch": batch}
            assert client.post("/ingest", json=body).status_code == 200
            answer = client.post("/ingest", json={**body, "batch": {**batch, "n": 2}})
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "2"
            assert stored(gateway) == [1]
