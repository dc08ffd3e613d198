"""Whole histories through both clients: from the real gateway, and from a server that has JSON and a limit, no more."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import attrs
import httpx
import pytest
from rich.console import Console

from plexus import AsyncPlexusAPI, Gateway, PlexusAPI
from plexus.api.history import gathering
from plexus.api.history.plan import Span
from plexus.api.history.progress import Progress
from plexus.api.history.span import span_of
from plexus.api.tables import QueryResult, Row, reading
from plexus.domain.errors import ApiError, QueryError
from plexus.domain.series import Series
from tests.api.asking import KEY, URL, Ask, Kind
from tests.support.gateway import KEY as GATEWAY_KEY
from tests.support.gateway import http, running

T_MS = 1_746_969_600_000
WINDOW: dict[str, Any] = {"start": T_MS, "end": T_MS + 3_600_000}

Point = tuple[float, str, Any]


def _ms(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1_000.0


@attrs.define
class Hosted:
    """A data API that knows neither Arrow nor `limit`: `rows` of a raw question at most, which it says and no more."""

    points: list[Point]
    rows: int = 50
    newest: bool = False
    before: Callable[[int], None] = lambda _number: None
    asked: list[httpx.Request] = attrs.field(factory=list)
    lock: Any = attrs.field(factory=threading.Lock)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.asked.append(request)
            self.before(len(self.asked))
        if request.url.path.endswith("/metrics"):
            return httpx.Response(200, json=sorted({metric for _, metric, _ in self.points}))
        params = request.url.params
        assert set(params) <= {"metrics", "start", "end", "interval"}
        start, end = _ms(params["start"]), _ms(params["end"])
        names = params["metrics"].split(",") if "metrics" in params else None
        inside = sorted(
            (p for p in self.points if start <= p[0] < end and (names is None or p[1] in names)), key=lambda p: p[0]
        )
        shown = inside[-self.rows :] if self.newest else inside[: self.rows]
        return httpx.Response(200, json=_answer(shown, truncated=len(inside) > self.rows))


def _answer(points: list[Point], *, truncated: bool) -> dict[str, Any]:
    series: dict[str, dict[str, list[Any]]] = {}
    for t, metric, value in points:
        columns = series.setdefault(metric, {"timestamp_ms": [], "value": []})
        columns["timestamp_ms"].append(t)
        columns["value"].append(value)
    return {"interval": "raw", "auto_downsampled": False, "series": series, "truncated": truncated}


def expected(points: list[Point]) -> dict[str, Series]:
    names = sorted({metric for _, metric, _ in points})
    ordered = sorted(points, key=lambda point: point[0])
    return {
        name: Series(
            [t for t, metric, _ in ordered if metric == name], [v for _, metric, v in ordered if metric == name]
        )
        for name in names
    }


def batches(ask: Ask, source_id: str, *names: Any, **arguments: Any) -> list[QueryResult]:
    """What `metrics.iterate` gives."""

    def question(api: Any) -> Any:
        found = api.metrics.iterate(source_id, *names, **arguments)
        return list(found) if ask.kind == "blocking" else _listed(found)

    transport = arguments.pop("transport", None)
    result: list[QueryResult] = ask(question, **({} if transport is None else {"transport": transport}))
    return result


async def _listed(found: Any) -> list[QueryResult]:
    return [batch async for batch in found]


BURSTS: list[Point] = [
    *((T_MS + 1_000 * (n // 20), "volts", n) for n in range(600)),  # twenty of a stamp, at every seam there can be
    *((T_MS + 7 * n, "rpm", n * 0.5) for n in range(300)),
    *((T_MS + 900_000 + n, "state", f"s{n}") for n in range(3)),
]


# --- a server that has JSON only ------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_window_is_loaded_whole_from_a_server_that_only_says_truncated(
    kind: Kind, at_once: int, newest: bool
) -> None:
    server = Hosted(BURSTS, newest=newest)
    ask = Ask(kind)
    result = ask(lambda api: api.metrics.load("rig", **WINDOW, at_once=at_once), transport=httpx.MockTransport(server))
    assert dict(result.series) == expected(BURSTS)
    assert (result.interval, result.truncated, len(result)) == ("raw", False, len(BURSTS))
    assert result.to_pandas().count().to_dict() == {"rpm": 300, "state": 3, "volts": 600}


def test_named_metrics_come_in_the_order_in_which_they_were_named(kind: Kind) -> None:
    server = Hosted(BURSTS)
    names = ["state", "none", "rpm"]
    result = Ask(kind)(lambda api: api.metrics.load("rig", names, **WINDOW), transport=httpx.MockTransport(server))
    assert list(result.series) == names
    assert len(result["none"]) == 0
    assert result.to_numpy()["none"]["value"].tolist() == []
    assert result["rpm"] == expected(BURSTS)["rpm"]


def test_batches_ascend_in_time_and_hold_everything_once(kind: Kind) -> None:
    server = Hosted(BURSTS)
    found = batches(Ask(kind), "rig", **WINDOW, transport=httpx.MockTransport(server))
    assert all(0 < len(batch) <= server.rows for batch in found)
    rows = [row for batch in found for row in batch if isinstance(row, Row)]
    assert [row.timestamp_ms for row in rows] == sorted(t for t, _, _ in BURSTS)
    assert sorted((row.metric, repr(row.value)) for row in rows) == sorted((m, repr(v)) for _, m, v in BURSTS)


def test_a_moment_that_is_too_full_for_one_answer_is_divided_by_metric(kind: Kind) -> None:
    points: list[Point] = [(T_MS + 5, metric, n) for metric in "abc" for n in range(40)]
    server = Hosted(points)
    result = Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW), transport=httpx.MockTransport(server))
    assert dict(result.series) == expected(points)


def test_one_metric_with_more_values_at_a_moment_than_an_answer_holds_is_told(kind: Kind) -> None:
    server = Hosted([*BURSTS, *((T_MS + 5.25, "volts", n) for n in range(51))])
    with pytest.raises(QueryError, match=r"'volts' of 'rig' has more than 50 values between .*20:00\.005250Z"):
        Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW), transport=httpx.MockTransport(server))


def test_what_arrives_meanwhile_is_never_there_twice(kind: Kind) -> None:
    server = Hosted(list(BURSTS))

    def arrive(number: int) -> None:
        if number < 20:
            server.points += [(T_MS + 1_000 * n + 0.5, "late", number) for n in range(0, 30, 10)]

    server.before = arrive
    result = Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW), transport=httpx.MockTransport(server))
    assert {name: part for name, part in result.series.items() if name != "late"} == expected(BURSTS)
    late = list(zip(result["late"].timestamp_ms, result["late"].value, strict=True))
    assert len(set(late)) == len(late)
    assert result["late"].timestamp_ms == sorted(result["late"].timestamp_ms)


def test_a_failure_in_one_piece_is_raised_and_nothing_is_left_running(kind: Kind) -> None:
    server = Hosted(BURSTS)

    def fail(number: int) -> None:
        if number == 6:
            raise httpx.ReadError("cut off")

    server.before = fail
    transport = httpx.MockTransport(server)
    result = Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW), transport=transport)
    assert len(result) == len(BURSTS)  # a failure of the network is tried again

    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, json={"error": "broken"}) if len(server.asked) > 40 else server(request)

    with pytest.raises(ApiError, match="broken"):
        Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW), transport=httpx.MockTransport(refuse))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("plexus-history")]


def test_a_reader_that_stops_early_asks_no_more() -> None:
    server = Hosted(BURSTS)
    with PlexusAPI(KEY, URL, transport=httpx.MockTransport(server)) as api:
        found = api.metrics.iterate("rig", **WINDOW, at_once=2)
        assert server.asked == []
        next(found)
        next(found)
        found.close()  # type: ignore[attr-defined]
        asked = len(server.asked)
    assert len(server.asked) == asked < 12
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("plexus-history")]


def test_an_awaited_reader_that_stops_early_asks_no_more() -> None:
    server = Hosted(BURSTS)

    async def stop() -> int:
        async with AsyncPlexusAPI(KEY, URL, transport=httpx.MockTransport(server)) as api:
            found: Any = api.metrics.iterate("rig", **WINDOW, at_once=2)
            await found.__anext__()
            await found.aclose()
            return len(asyncio.all_tasks())

    assert asyncio.run(stop()) == 1
    assert len(server.asked) < 12


# --- the real gateway -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["memory", "files"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with 26,000 values: bursts of one stamp, types of all kinds."""
    kept = {} if request.param == "memory" else {"data_dir": tmp_path_factory.mktemp("history") / "data"}
    with running(**kept) as gateway, http(gateway) as client:
        for first in range(0, 24_000, 6_000):
            points = [
                {"metric": f"m{n % 3}", "value": n * 0.5, "timestamp": T_MS + 100 * (n // 9)}
                for n in range(first, first + 6_000)
            ]
            client.post("/ingest", json={"source_id": "rig", "points": points}).raise_for_status()
        odd = [7, 2.5, "RUN", True, {"a": [1]}, 2**60 + 1]
        points = [
            {"metric": "odd", "value": odd[n % len(odd)], "timestamp": T_MS + n, "class": "metric"}
            for n in range(2_000)
        ]
        client.post("/ingest", json={"source_id": "rig", "points": points}).raise_for_status()
        yield gateway


@pytest.fixture
def whole(kind: Kind, full: Gateway) -> Ask:
    return Ask(kind, url=full.url, key=GATEWAY_KEY)


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_the_gateway_gives_a_whole_history_in_either_form(
    whole: Ask, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "json":
        monkeypatch.setattr(reading, "has", lambda _library: False)
    result = whole(lambda api: api.metrics.load("rig", **WINDOW))
    assert type(result.series).__name__ == ("ArrowSeries" if form == "arrow" else "JoinedSeries")
    assert {name: len(part) for name, part in result.series.items()} == {
        "m0": 8_000,
        "m1": 8_000,
        "m2": 8_000,
        "odd": 2_000,
    }
    assert result["m1"].value == [n * 0.5 for n in range(1, 24_000, 3)]
    assert result["m1"].timestamp_ms == [T_MS + 100 * (n // 9) for n in range(1, 24_000, 3)]
    assert [type(value) for value in result["odd"].value[:6]] == [int, float, str, bool, dict, int]
    assert result["odd"].value[:6] == [7, 2.5, "RUN", True, {"a": [1]}, 2**60 + 1]


def test_the_gateway_is_asked_for_more_rows_than_ten_thousand_once_it_says_so(full: Gateway, kind: Kind) -> None:
    asked: list[httpx.URL] = []

    async def note_awaited(request: httpx.Request) -> None:
        asked.append(request.url)

    if kind == "blocking":
        with PlexusAPI(GATEWAY_KEY, full.url) as api:
            client = next(iter(api._link._clients.values()))
            client.event_hooks["request"].append(lambda request: asked.append(request.url))
            assert len(api.metrics.load("rig", **WINDOW)) == 26_000
    else:

        async def load() -> int:
            async with AsyncPlexusAPI(GATEWAY_KEY, full.url) as api:
                client = next(iter(api._link._clients.values()))
                client.event_hooks["request"].append(note_awaited)
                return len(await api.metrics.load("rig", **WINDOW))

        assert asyncio.run(load()) == 26_000
    assert "limit" not in asked[0].params
    assert all("limit" in url.params for url in asked[1:])
    assert len(asked) <= 8  # three of ten thousand rows, if that were all; the window is mostly empty


def test_a_window_that_fits_is_one_question(whole: Ask) -> None:
    result = whole(lambda api: api.metrics.load("rig", "odd", **WINDOW))
    assert list(result.series) == ["odd"]
    assert result == whole(lambda api: api.metrics.query("rig", "odd", **WINDOW, interval="raw"))


def test_batches_from_the_gateway_ascend_and_hold_everything(whole: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "BATCH_ROWS", 1_000)
    found = batches(whole, "rig", **WINDOW)
    assert sum(map(len, found)) == 26_000
    assert len(found) > 10
    times = [row.timestamp_ms for batch in found for row in batch]
    assert times == sorted(times)


def test_buckets_are_loaded_in_pieces_that_meet_where_buckets_do(whole: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    once = whole(lambda api: api.metrics.query("rig", **WINDOW, interval="1m"))
    monkeypatch.setattr(gathering, "BUCKETS_AT_ONCE", 3)
    window = {"start": T_MS + 12_345, "end": T_MS + 250_000}
    pieces = whole(lambda api: api.metrics.load("rig", **window, interval="1m"))
    assert pieces == attrs.evolve(whole(lambda api: api.metrics.query("rig", **window, interval="1m")))
    assert dict(whole(lambda api: api.metrics.load("rig", **WINDOW, interval="1m")).series) == dict(once.series)


@pytest.mark.parametrize(("interval", "status"), [("1m", 400), ("1m", 413), ("raw", 413)])
def test_a_server_that_finds_a_window_too_long_is_asked_for_shorter_ones(
    kind: Kind, interval: str, status: int
) -> None:
    server = Hosted(BURSTS, rows=10_000)

    def refuse(request: httpx.Request) -> httpx.Response:
        start, end = (_ms(request.url.params[name]) for name in ("start", "end"))
        if end - start > 500_000:
            return httpx.Response(status, json={"error": "too much at once"})
        return server(request)

    result = Ask(kind)(
        lambda api: api.metrics.load("rig", **WINDOW, interval=interval), transport=httpx.MockTransport(refuse)
    )
    assert len(result) == len(BURSTS)
    assert 8 <= len(server.asked) < 40
    starts = sorted(_ms(request.url.params["start"]) for request in server.asked)
    assert interval == "raw" or all(start % 60_000 == 0 for start in starts)


def test_a_question_that_makes_no_sense_to_the_server_is_not_asked_again_in_pieces(kind: Kind) -> None:
    asked: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(400, json={"error": "no such thing"})

    with pytest.raises(ApiError, match="no such thing"):
        Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW), transport=httpx.MockTransport(refuse))
    assert len(asked) == 1


@pytest.mark.parametrize(
    "arguments", [{"at_once": 0}, {"at_once": 33}, {"at_once": True}, {"interval": "2m"}, {"metrics": []}]
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(kind: Kind, arguments: dict[str, Any]) -> None:
    server = Hosted([])
    with pytest.raises(QueryError):
        Ask(kind)(lambda api: api.metrics.load("rig", **WINDOW, **arguments), transport=httpx.MockTransport(server))
    assert server.asked == []


# --- the window, and the bar ----------------------------------------------------------------------------------------


def test_a_window_without_an_end_ends_now_with_what_is_stamped_this_moment() -> None:
    now_ms = T_MS + 0.25
    span = span_of(last="1m", start=None, end=None, interval="raw", now_ms=now_ms)
    assert span == Span((T_MS - 60_000) * 1_000 + 250, T_MS * 1_000 + 251)
    assert span_of(last=None, start=T_MS, end=None, interval="1m", now_ms=now_ms) == Span(
        T_MS * 1_000, T_MS * 1_000 + 251, 60_000_000
    )


def test_a_bar_is_shown_after_a_second_and_is_gone_at_the_end() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    now, before = [0.0], threading.enumerate()
    with Progress("rig", True, monotonic=lambda: now[0], console=console) as progress:
        progress.tell(0.1, 10)
        assert console.file.getvalue() == ""  # type: ignore[attr-defined]
        now[0] = 1.5
        progress.tell(0.5, 12_345)
        assert "12,345 rows" in console.file.getvalue()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread not in before]


@pytest.mark.parametrize("wanted", [None, False])
def test_no_bar_is_shown_where_nobody_looks(wanted: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    now = [0.0]
    with Progress("rig", wanted, monotonic=lambda: now[0]) as progress:
        now[0] = 100.0
        progress.tell(0.5, 5)
        assert progress._bar is None
