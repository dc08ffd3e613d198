"""When a question is asked again, how long is waited, and when it is given up, for both clients."""

from __future__ import annotations

import httpx
import pytest
import respx

from plexus.api import retry
from plexus.domain.errors import ApiError, ConfigurationError, PlexusError, RateLimitedError, TransportError
from tests.api.asking import Ask, Question
from tests.api.test_routes import ROUTES, SOURCE

GOOD = httpx.Response(200, json=SOURCE)
COUNTED = "metrics.remove, counted"
CHANGING = [name for name, row in ROUTES.items() if row.method not in ("GET", "PUT") and name != COUNTED]


def _get(api: object) -> object:
    return api.sources.get("a1")  # type: ignore[attr-defined]  # one of the two clients


def _asked(seconds: str, status: int = 429) -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": seconds})


@pytest.mark.parametrize(
    "failure",
    [*map(httpx.Response, (429, 502, 503, 504)), httpx.ConnectError("no"), httpx.ReadTimeout("slow")],
    ids=repr,
)
def test_a_question_is_asked_again_after_what_may_pass(
    ask: Ask, server: respx.MockRouter, waits: list[float], failure: httpx.Response | httpx.HTTPError
) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[failure, GOOD])
    assert ask(_get).online
    assert len(waits) == 1


def test_it_is_given_up_after_three_more_tries_with_growing_waits(
    ask: Ask, server: respx.MockRouter, waits: list[float]
) -> None:
    route = server.get("/v1/sources/a1").respond(503)
    with pytest.raises(ApiError, match="503"):
        ask(_get)
    assert route.call_count == 4
    assert 0.125 <= waits[0] <= 0.25 <= waits[1] <= 0.5 <= waits[2] <= 1.0


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 500, 501])
def test_what_would_fail_again_is_not_asked_again(
    ask: Ask, server: respx.MockRouter, waits: list[float], status: int
) -> None:
    route = server.get("/v1/sources/a1").respond(status)
    with pytest.raises(PlexusError):
        ask(_get)
    assert (route.call_count, waits) == (1, [])


@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.ReadTimeout("slow")], ids=repr)
@pytest.mark.parametrize("name", CHANGING)
def test_what_changes_something_is_never_sent_twice(
    ask: Ask, server: respx.MockRouter, name: str, failure: httpx.Response | httpx.HTTPError
) -> None:
    route = server.route().mock(side_effect=[failure])
    with pytest.raises(PlexusError):
        ask(ROUTES[name].ask)
    assert route.call_count == 1


@pytest.mark.parametrize("name", ["metrics.describe", COUNTED])
def test_what_may_be_asked_twice_is_whatever_its_method(ask: Ask, server: respx.MockRouter, name: str) -> None:
    row = ROUTES[name]
    route = server.route().mock(side_effect=[httpx.Response(503), httpx.Response(200, json=row.answer)])
    assert ask(row.ask) == row.expected
    assert route.call_count == 2


def test_the_server_s_wish_for_time_is_obeyed(ask: Ask, server: respx.MockRouter, waits: list[float]) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[_asked("7"), _asked("0", 503), GOOD])
    ask(_get)
    assert waits == [7.0, 0.0]


def test_a_wish_for_more_time_than_the_budget_has_is_an_error_at_once(
    ask: Ask, server: respx.MockRouter, waits: list[float]
) -> None:
    route = server.get("/v1/sources/a1").mock(side_effect=[_asked("31")])
    with pytest.raises(RateLimitedError) as caught:
        ask(_get)
    assert (route.call_count, waits) == (1, [])
    assert caught.value.retry_after_s == 31.0


def test_what_was_waited_is_spent(ask: Ask, server: respx.MockRouter, waits: list[float]) -> None:
    route = server.get("/v1/sources/a1").mock(side_effect=[_asked("6"), _asked("5")])
    with pytest.raises(RateLimitedError):
        ask(_get, retry_budget_s=10)
    assert (route.call_count, waits) == (2, [6.0])


def test_a_budget_can_be_larger(ask: Ask, server: respx.MockRouter, waits: list[float]) -> None:
    server.get("/v1/sources/a1").mock(side_effect=[_asked("100"), _asked("100"), GOOD])
    ask(_get, retry_budget_s=300)
    assert waits == [100.0, 100.0]


@pytest.mark.parametrize("arguments", [{"retries": 0}, {"retry_budget_s": 0}])
def test_without_a_budget_everything_is_asked_once(
    ask: Ask, server: respx.MockRouter, arguments: dict[str, float]
) -> None:
    route = server.get("/v1/sources/a1").mock(side_effect=httpx.ConnectError("no"))
    with pytest.raises(TransportError):
        ask(_get, **arguments)
    assert route.call_count == 1


def test_the_number_of_tries_can_be_larger(ask: Ask, server: respx.MockRouter) -> None:
    route = server.get("/v1/sources/a1").mock(side_effect=[*[_asked("0")] * 9, GOOD])
    ask(_get, retries=9)
    assert route.call_count == 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"retries": -1}, "retries"),
        ({"retries": 1.5}, "retries"),
        ({"retries": True}, "retries"),
        ({"retry_budget_s": -1}, "retry_budget_s"),
        ({"retry_budget_s": float("nan")}, "retry_budget_s"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
    ],
)
def test_what_cannot_be_a_budget_is_refused(ask: Ask, arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ask(_get, **arguments)


def test_waits_are_spread_and_have_an_end() -> None:
    budget = retry.Budget(30, 10_000.0)
    for rng, first, longest in ((lambda: 0.0, 0.125, 15.0), (lambda: 1.0, 0.25, 30.0)):
        waited: list[float] = []
        with pytest.raises(retry.Again):
            retry.policy(budget, waited.append, rng)(_fails)
        assert (waited[0], max(waited), len(waited)) == (first, longest, 30)


def _fails() -> None:
    raise retry.Again(TransportError("no"))


def test_many_questions_at_once_count_their_tries_each_for_itself(server: respx.MockRouter) -> None:
    import asyncio

    from plexus import AsyncPlexusAPI
    from tests.api.asking import KEY, URL

    tries: dict[str, int] = {}

    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        tries[path] = tries.get(path, 0) + 1
        return httpx.Response(503) if tries[path] < 4 else GOOD

    async def main() -> list[object]:
        async def sleep(_seconds: float) -> None:
            await asyncio.sleep(0)

        async with AsyncPlexusAPI(KEY, URL, sleep=sleep, transport=httpx.MockTransport(handler)) as api:
            return await asyncio.gather(*(api.sources.get(f"a{number}") for number in range(20)))

    assert len(asyncio.run(main())) == 20
    assert set(tries.values()) == {4}


@pytest.mark.parametrize("question", [lambda api: api.runs.get("r1"), lambda api: api.whoami()])
def test_questions_to_the_app_are_asked_again_too(ask: Ask, server: respx.MockRouter, question: Question) -> None:
    route = server.route().respond(503, headers={"retry-after": "0"})
    with pytest.raises(ApiError):
        ask(question)
    assert route.call_count == 4
