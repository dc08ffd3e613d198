"""`PlexusAPI` and `AsyncPlexusAPI` are one surface: the same namespaces, methods, parameters, answers and words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from plexus import AsyncPlexusAPI, PlexusAPI
from plexus.api import asynclink, link
from tests.api.asking import KEY, URL

BLOCKING = PlexusAPI(KEY, URL)
AWAITED = AsyncPlexusAPI(KEY, URL)
BLOCKING.close()

UNLIKE = {"sleep", "transport"}
"""Parameters whose types differ by nature."""


def _namespaces(api: Any) -> Mapping[str, Any]:
    return {"": api, **{name: part for name, part in vars(api).items() if not name.startswith("_")}}


def _methods(part: Any) -> Mapping[str, Any]:
    return {name: method for name, method in inspect.getmembers(type(part), inspect.isroutine) if name[0] != "_"}


def _pairs() -> Iterator[tuple[str, Any, Any]]:
    others = _namespaces(AWAITED)
    for space, part in _namespaces(BLOCKING).items():
        there = _methods(others.get(space))
        for name, method in _methods(part).items():
            yield f"{space}.{name}".lstrip("."), method, there.get(name)


PAIRS = list(_pairs())


def _plain(annotation: str) -> str:
    """A type without what marks it as awaited."""
    return re.sub(r"\bAsync", "", str(annotation))


def _plain_words(method: Any) -> str:
    """What a method says of itself, on one line and without what marks it as awaited."""
    words = " ".join((inspect.getdoc(method) or "").split())
    return re.sub(r"\b(async|await) ", "", words.replace("an async ", "a "))


def test_the_namespaces_are_the_same() -> None:
    assert set(_namespaces(BLOCKING)) == set(_namespaces(AWAITED))
    for space, part in _namespaces(AWAITED).items():
        assert set(_methods(part)) == set(_methods(_namespaces(BLOCKING)[space])), space


@pytest.mark.parametrize(("name", "here", "there"), PAIRS, ids=[name for name, _here, _there in PAIRS])
def test_a_method_takes_and_gives_the_same(name: str, here: Any, there: Any) -> None:
    ours, theirs = inspect.signature(here), inspect.signature(there)
    assert list(ours.parameters) == list(theirs.parameters)
    for one, other in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
        assert (one.kind, one.default) == (other.kind, other.default)
        assert one.annotation == other.annotation or "Callable" in one.annotation
    assert _plain(ours.return_annotation) == _plain(theirs.return_annotation)


@pytest.mark.parametrize(("name", "here", "there"), PAIRS, ids=[name for name, _here, _there in PAIRS])
def test_a_method_says_the_same(name: str, here: Any, there: Any) -> None:
    assert inspect.getdoc(here)
    assert _plain_words(here) == _plain_words(there)


def test_the_constructors_take_the_same() -> None:
    ours, theirs = inspect.signature(PlexusAPI), inspect.signature(AsyncPlexusAPI)
    assert list(ours.parameters) == list(theirs.parameters)
    for name in set(ours.parameters) - UNLIKE:
        assert ours.parameters[name] == theirs.parameters[name]


def test_the_links_have_the_same_names() -> None:
    theirs = {"close" if name == "aclose" else name for name in dir(asynclink.AsyncLink) if name[0] != "_"}
    assert {name for name in dir(link.Link) if name[0] != "_"} == theirs
