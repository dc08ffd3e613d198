"""The error tree: whose fault it is decides the class, and every class is also what Python calls such a mistake."""

from __future__ import annotations

import inspect

import pytest

from plexus.domain import errors
from plexus.domain.loss import Loss

TREE: dict[str, tuple[str, ...]] = {
    "PlexusError": ("Exception",),
    "ConfigurationError": ("PlexusError", "ValueError"),
    "UnsupportedValueError": ("PlexusError", "TypeError"),
    "CommandDeclarationError": ("PlexusError", "ValueError"),
    "CommandParamError": ("PlexusError",),
    "RefusalError": ("PlexusError",),
    "AuthenticationError": ("RefusalError",),
    "RateLimitedError": ("RefusalError",),
    "DataLossError": ("PlexusError",),
    "DeliveryError": ("PlexusError",),
    "TransportError": ("DeliveryError",),
    "TransportClosed": ("TransportError",),
    "BufferFault": ("PlexusError",),
    "ExportError": ("PlexusError",),
    "ProtocolError": ("PlexusError", "ValueError"),
    "StoreError": ("PlexusError",),
    "QueryError": ("StoreError", "ValueError"),
    "ApiError": ("RefusalError",),
    "NotFoundError": ("ApiError",),
}


def classes() -> dict[str, type]:
    return {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}


@pytest.mark.parametrize("name", TREE)
def test_each_error_has_the_bases_that_are_documented(name: str) -> None:
    assert tuple(base.__name__ for base in classes()[name].__bases__) == TREE[name]


def test_the_tree_is_whole() -> None:
    assert set(classes()) == set(TREE)


@pytest.mark.parametrize("name", TREE)
def test_the_module_draws_every_error(name: str) -> None:
    assert errors.__doc__ is not None
    assert name in errors.__doc__


@pytest.mark.parametrize("name", TREE)
def test_each_error_says_its_message(name: str) -> None:
    facts = {"loss": Loss("buffer_full", 3)} if name == "DataLossError" else {}
    error = classes()[name]("what happened and what to do", **facts)
    assert str(error) == "what happened and what to do"
    assert isinstance(error, errors.PlexusError)


@pytest.mark.parametrize("name", TREE)
def test_each_error_says_in_its_docstring_what_it_means(name: str) -> None:
    assert len(classes()[name].__doc__ or "") > 20


def test_some_errors_say_more() -> None:
    assert errors.TransportClosed("bye", code=1013).code == 1013
    assert errors.TransportClosed("bye").code == 1000
    assert errors.ProtocolError("no", field="seq").field == "seq"
    api = errors.ApiError("no", status=503, body="busy", request_id="r-1")
    assert (api.status, api.body, api.request_id) == (503, "busy", "r-1")
    missing = errors.NotFoundError("no such source", status=404)
    assert (missing.status, missing.body, missing.request_id) == (404, "", "")
