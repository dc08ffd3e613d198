"""How exports are cut, against a model of a gateway: whatever is in it, the parts hold each row once and in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.api.export import plan as plans
from plexus.api.export import requests
from plexus.api.export.order import Order
from plexus.api.export.plan import SLACK, Plan
from plexus.api.export.requests import Cut
from plexus.api.export.steps import ExportSteps
from plexus.api.pinned import Window
from plexus.api.requests import Request
from plexus.api.steps import Ask
from plexus.domain.errors import ProtocolError, QueryError

START_US, END_US = 1_000_000, 2_000_000

Row = tuple[str, str, int]

rows = st.lists(
    st.tuples(
        st.sampled_from(["arm", "leg", "rig"]),
        st.sampled_from(["a", "b", "c,d", "z"]),
        st.one_of(st.integers(START_US, END_US - 1), st.just(START_US), st.just(1_500_000)),
    ),
    max_size=300,
).map(sorted)


def an_order(**changes: Any) -> Order:
    plain = Order(Path("x.csv"), "csv", None, None, Window(START_US, END_US), "raw", False, "", 20)
    return attrs.evolve(plain, **changes)


@attrs.frozen
class Model:
    """A gateway that has these rows, sorted by source, metric and time."""

    stored: list[Row]

    def answer(self, request: Request) -> Any:
        params = dict(request.params)
        if request.path == "/v1/sources":
            return sorted({row[0] for row in self.stored})
        if request.path.endswith("/metrics"):
            return sorted({row[1] for row in self.stored if row[0] == request.path.split("/")[3]})
        assert params["estimate"] == "1"
        assert len(request.target) < 8_192
        return len(self.held(self.cut_of(request)))

    def cut_of(self, request: Request) -> Cut:
        """What a request for a piece asks for, read as a gateway reads it."""
        found: dict[str, list[str]] = {}
        for name, value in request.params:
            found.setdefault(name, []).append(value)
        metrics = [name for text in found.get("metrics", []) for name in text.split(",")] + found.get("metric", [])
        sources = tuple(found["sources"][0].split(",")) if "sources" in found else None
        start_us, end_us = (_us(found[name][0]) for name in ("start", "end"))
        return Cut(sources, tuple(metrics) or None, start_us, end_us)

    def held(self, cut: Cut) -> list[Row]:
        """The rows of a piece."""
        return [
            row
            for row in self.stored
            if (cut.sources is None or row[0] in cut.sources)
            and (cut.metrics is None or row[1] in cut.metrics)
            and cut.start_us <= row[2] < cut.end_us
        ]


def _us(text: str) -> int:
    assert text.startswith("1970-01-01T00:00:0")
    return round(float(text[17:-1]) * 1_000_000)


def done(steps: ExportSteps[Plan], answer: Callable[[Request], Any]) -> Plan:
    """Run steps that only ask."""
    step = next(steps)
    while True:
        assert isinstance(step, Ask)
        try:
            step = steps.send(answer(step.call.request))
        except StopIteration as end:
            plan: Plan = end.value
            return plan


@given(stored=rows.filter(bool), part_rows=st.integers(1, 40))
def test_the_parts_of_a_table_are_what_one_answer_would_be(stored: list[Row], part_rows: int) -> None:
    model = Model(stored)
    plan = done(plans.planned(an_order(part_rows=part_rows)), model.answer)
    assert [row for part in plan.parts for row in model.held(part.cut)] == stored
    assert plan.rows == len(stored)


@given(stored=rows.filter(bool), part_rows=st.integers(1, 40))
def test_the_parts_of_a_recording_ascend_in_time(stored: list[Row], part_rows: int) -> None:
    model = Model(stored)
    plan = done(plans.planned(an_order(format="mcap", part_rows=part_rows)), model.answer)
    held = [model.held(part.cut) for part in plan.parts if part.kind == "rows"]
    times = [sorted(row[2] for row in part) for part in held]
    assert [at for part in times for at in part] == sorted(row[2] for row in stored)
    assert sorted(row for part in held for row in part) == stored


@given(stored=rows.filter(bool), part_rows=st.integers(1, 40), kind=st.sampled_from(["csv", "mcap"]))
def test_a_part_is_small_unless_all_of_it_is_one_moment(stored: list[Row], part_rows: int, kind: str) -> None:
    model = Model(stored)
    plan = done(plans.planned(an_order(format=kind, part_rows=part_rows)), model.answer)
    for part in plan.parts:
        held = model.held(part.cut)
        assert part.kind == "events" or len(held) <= part_rows * SLACK or part.cut.end_us - part.cut.start_us == 1


@given(stored=rows.filter(bool))
def test_a_plan_is_read_as_it_was_kept(stored: list[Row]) -> None:
    plan = done(plans.planned(an_order(format="mcap")), Model(stored).answer)
    assert plans.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_every_source_has_its_events_in_a_recording() -> None:
    model = Model([("arm", "a", START_US), ("rig", "a", START_US)])
    plan = done(plans.planned(an_order(format="mcap")), model.answer)
    assert [part.cut.sources for part in plan.parts if part.kind == "events"] == [("arm",), ("rig",)]


def test_a_recording_of_metrics_that_are_named_has_no_events() -> None:
    model = Model([("arm", "a", START_US)])
    plan = done(plans.planned(an_order(format="mcap", metrics=("a",))), model.answer)
    assert [part.kind for part in plan.parts] == ["rows"]


def test_buckets_are_cut_where_a_bucket_begins() -> None:
    minute = 60_000_000
    window = Window(minute // 2, 100 * minute + 7)
    plan = done(
        plans.planned(an_order(sources=("rig",), metrics=("a",), window=window, resolution="1m", part_rows=9)),
        lambda _request: 10_000 if not _seen(_request) else 5,
    )
    seams = [part.cut.start_us for part in plan.parts][1:]
    assert seams
    assert all(seam % minute == 0 for seam in seams)
    assert seams == [part.cut.end_us for part in plan.parts][:-1]


def _seen(request: Request, whole: str = "1970-01-01T00:00:30.000000Z") -> bool:
    return dict(request.params)["start"] != whole or dict(request.params)["end"] != "1970-01-01T01:40:00.000007Z"


def test_an_export_in_which_nothing_is_has_one_part_for_its_header() -> None:
    plan = done(plans.planned(an_order(sources=("arm", "rig"))), Model([]).answer)
    assert [(part.cut.sources, part.rows) for part in plan.parts] == [(("arm",), 0)]


def test_long_lists_of_names_are_cut_before_an_address_grows_too_long() -> None:
    names = tuple(f"metric-{number:04}-of-a-rig-with-many-of-them" for number in range(2_000))
    plan = done(plans.planned(an_order(sources=("rig",), metrics=names)), lambda _request: 1)
    assert tuple(name for part in plan.parts for name in part.cut.metrics or ()) == names
    assert all(not requests.is_too_long(an_order(), part.cut) for part in plan.parts)


def test_a_recording_with_too_many_names_says_what_to_do() -> None:
    names = tuple(f"metric-{number:04}-of-a-rig-with-many-of-them" for number in range(2_000))
    with pytest.raises(QueryError, match="leave them out"):
        done(plans.planned(an_order(format="mcap", sources=("rig",), metrics=names)), lambda _request: 1)


def test_a_key_that_sees_no_source_has_nothing_to_export() -> None:
    with pytest.raises(QueryError, match="no source"):
        done(plans.planned(an_order()), Model([]).answer)


@pytest.mark.parametrize(
    "raw", [None, {}, [], {"start_us": 1}, {"start_us": 1, "end_us": 2, "sources": [], "metrics": [], "parts": [1]}]
)
def test_what_is_no_plan_is_not_taken_for_one(raw: Any) -> None:
    with pytest.raises(ProtocolError, match="no plan"):
        plans.from_json(raw)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"rows":-1}', b'{"rows":true}', b'{"rows":"7"}'])
def test_an_estimate_that_breaks_the_contract_is_named(body: bytes) -> None:
    from plexus.api.refusals import Answer

    call = requests.rows(an_order(), Cut(None, None, START_US, END_US))
    with pytest.raises(ProtocolError, match="rows"):
        call.read(Answer(200, {}, body))
