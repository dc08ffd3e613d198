"""Log records as events: chosen, bounded in rate and size, never about themselves, never at the program's cost."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plexus
from plexus.client.logs import CUT_MARK, LogHandler, fitted
from plexus.domain.errors import ConfigurationError
from plexus.domain.event import MAX_JSON_BYTES


class Sink:
    """Takes events, and logs or fails while it does when told to."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any, dict[str, str]]] = []
        self.failure: Exception | None = None
        self.logs_to: logging.Logger | None = None

    def event(self, name: str, data: Any, timestamp: Any = None, tags: Any = None) -> bool:
        if self.logs_to is not None:
            self.logs_to.warning("about to send %s", name)
        if self.failure is not None:
            raise self.failure
        self.events.append((name, data, tags))
        return True

    @property
    def messages(self) -> list[str]:
        return [data["message"] for _, data, _ in self.events]


class Bench:
    def __init__(self, **arguments: Any) -> None:
        self.now = 0.0
        self.sink = Sink()
        self.handler = LogHandler(self.sink, now=lambda: self.now, **arguments)
        self.logger = logging.Logger("robot.arm", logging.DEBUG)
        self.logger.addHandler(self.handler)


@pytest.fixture(name="bench")
def _bench() -> Bench:
    return Bench()


@pytest.fixture(name="complaints")
def _complaints(monkeypatch: pytest.MonkeyPatch) -> list[logging.LogRecord]:
    heard: list[logging.LogRecord] = []
    monkeypatch.setattr(logging.Handler, "handleError", lambda _handler, record: heard.append(record))
    return heard


def test_a_record_is_an_event_with_its_level_logger_and_message(bench: Bench) -> None:
    bench.logger.warning("joint %d is %s", 3, "hot")
    value = {"level": "WARNING", "logger": "robot.arm", "message": "joint 3 is hot"}
    assert bench.sink.events == [("log", value, {"level": "WARNING", "logger": "robot.arm"})]


def test_an_exception_goes_along(bench: Bench) -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        bench.logger.exception("it failed")
    assert bench.sink.events[0][1]["exception"].endswith("ZeroDivisionError: division by zero")


def test_records_below_the_level_or_refused_by_a_filter_are_not_sent() -> None:
    bench = Bench(level="WARNING")
    bench.handler.addFilter(lambda record: "secret" not in record.getMessage())
    bench.logger.info("too low")
    bench.logger.error("a secret")
    bench.logger.error("this one")
    assert bench.sink.messages == ["this one"]


def test_tags_of_ones_own_are_on_every_event() -> None:
    bench = Bench(tags={"unit": "A1"})
    bench.logger.info("x")
    assert bench.sink.events[0][2] == {"unit": "A1", "level": "INFO", "logger": "robot.arm"}


def test_a_burst_is_let_through_and_what_is_over_is_told_by_the_next() -> None:
    bench = Bench(rate=10.0, burst=5)
    for number in range(25):
        bench.logger.info("%d", number)
    assert bench.sink.messages == ["0", "1", "2", "3", "4"]
    bench.now += 0.1
    bench.logger.info("later")
    bench.logger.info("too many again")
    assert bench.sink.events[-1][1] == {
        "level": "INFO",
        "logger": "robot.arm",
        "message": "later",
        "suppressed": 20,
    }
    bench.now += 100.0
    bench.logger.info("much later")
    bench.logger.info("and on")
    assert [data.get("suppressed") for _, data, _ in bench.sink.events[-2:]] == [1, None]


@pytest.mark.parametrize("name", ["plexus", "plexus.gateway"])
def test_records_of_the_library_itself_are_passed_over(bench: Bench, name: str) -> None:
    logger = logging.Logger(name)
    logger.addHandler(bench.handler)
    logger.error("could not send")
    assert bench.sink.events == []


def test_a_logger_that_only_begins_like_it_is_not_the_library(bench: Bench) -> None:
    logger = logging.Logger("plexusless")
    logger.addHandler(bench.handler)
    logger.error("x")
    assert bench.sink.messages == ["x"]


def test_what_is_logged_while_an_event_is_sent_is_passed_over(bench: Bench) -> None:
    bench.sink.logs_to = bench.logger
    bench.logger.info("once")
    assert bench.sink.messages == ["once"]


def test_a_message_that_cannot_be_formatted_is_loggings_affair(
    bench: Bench, complaints: list[logging.LogRecord]
) -> None:
    bench.logger.info("%d degrees", "hot")
    bench.logger.info("fine")
    assert bench.sink.messages == ["fine"]
    assert [record.msg for record in complaints] == ["%d degrees"]


def test_an_error_of_send_does_not_end_the_program(bench: Bench, complaints: list[logging.LogRecord]) -> None:
    bench.sink.failure = RuntimeError("no")
    bench.logger.info("x")
    assert len(complaints) == 1


def test_a_text_that_utf8_cannot_carry_is_still_sent(bench: Bench) -> None:
    bench.logger.info("no file %s", "\udcff")
    assert bench.sink.messages == ["no file ?"]


def test_a_long_message_is_cut_with_a_mark_and_an_exception_keeps_its_end(bench: Bench) -> None:
    try:
        int("the end")
    except ValueError:
        bench.logger.exception("x" * 9_000)
    value = bench.sink.events[0][1]
    assert len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_JSON_BYTES
    assert value["message"].endswith(CUT_MARK)
    assert value["exception"].endswith("'the end'")


@given(st.text(max_size=6_000), st.text(max_size=6_000), st.text(max_size=6_000))
def test_whatever_is_logged_fits_an_event(message: str, exception: str, logger: str) -> None:
    value = {"level": "INFO", "logger": logger, "message": message, "exception": exception, "suppressed": 7}
    kept = fitted(value)
    size = len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode())
    assert size <= MAX_JSON_BYTES
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_JSON_BYTES:
        assert kept == value


@pytest.mark.parametrize("arguments", [{"rate": 0}, {"rate": float("nan")}, {"burst": 0}])
def test_a_limit_that_lets_nothing_through_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="rate must be above 0 and burst at least 1"):
        LogHandler(Sink(), **arguments)  # type: ignore[arg-type]  # what is refused


def test_it_is_a_public_name() -> None:
    assert plexus.LogHandler is LogHandler
