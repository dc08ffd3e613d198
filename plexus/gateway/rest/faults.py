"""Every answer that is no success is `{"error": "…"}`, in words for a person."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec

from plexus.domain.errors import PlexusError, QueryError, StoreError
from plexus.gateway.asgi import Disconnected, HttpError
from plexus.gateway.rest.answers import Refusal

logger = logging.getLogger("plexus.gateway")

AnyRequest = Request[Any, Any, Any]

REFUSALS: dict[int, ResponseSpec] = {
    400: ResponseSpec(Refusal, generate_examples=False, description="The request cannot be answered; `error` says why"),
    401: ResponseSpec(Refusal, generate_examples=False, description="The key is missing, unknown or revoked"),
    403: ResponseSpec(Refusal, generate_examples=False, description="The key has not the scope"),
    404: ResponseSpec(Refusal, generate_examples=False, description="No such source, run or route for this key"),
    429: ResponseSpec(Refusal, generate_examples=False, description="Too much at once; see the header retry-after"),
    503: ResponseSpec(Refusal, generate_examples=False, description="The gateway cannot answer now; ask again"),
    504: ResponseSpec(Refusal, generate_examples=False, description="The question took too long and was ended"),
}
"""The `responses` of a handler, for the OpenAPI document."""

TAKEN = ResponseSpec(Refusal, generate_examples=False, description="The name is taken already")
"""For 409."""


def refuse(status: int, error: str, headers: Mapping[str, str] | None = None) -> Response[Refusal]:
    """An answer that is no success."""
    return Response(Refusal(error), status_code=status, headers=headers)


def _own(_request: AnyRequest, exc: HttpError) -> Response[Refusal]:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exc.headers}
    return refuse(exc.status, exc.message, headers)


def _http(_request: AnyRequest, exc: HTTPException) -> Response[Refusal]:
    return refuse(exc.status_code, describe(exc), exc.headers)


def _query(_request: AnyRequest, exc: QueryError) -> Response[Refusal]:
    return refuse(400, str(exc))


def _store(_request: AnyRequest, exc: StoreError) -> Response[Refusal]:
    logger.error("a question could not be answered: %s", exc)
    return refuse(503, f"the store cannot answer now, try again: {exc}", {"retry-after": "1"})


def _plexus(_request: AnyRequest, exc: PlexusError) -> Response[Refusal]:
    return refuse(400, str(exc))


def _left(_request: AnyRequest, _exc: Disconnected) -> Response[Refusal]:
    return refuse(499, "the client left before the answer was there")


def _depth(_request: AnyRequest, _exc: RecursionError) -> Response[Refusal]:
    return refuse(400, "the body is nested too deeply")


def _unknown(request: AnyRequest, exc: Exception) -> Response[Refusal]:
    logger.error("%s %s failed: %s", request.method, request.url.path, type(exc).__name__, exc_info=exc)
    return refuse(500, "the gateway failed in a way it does not name; its log has more, under this request's id")


HANDLERS: dict[int | type[Exception], Callable[..., Response[Refusal]]] = {
    HttpError: _own,
    HTTPException: _http,
    QueryError: _query,
    StoreError: _store,
    PlexusError: _plexus,
    Disconnected: _left,
    RecursionError: _depth,
    Exception: _unknown,
}


def describe(exc: HTTPException) -> str:
    """A framework's refusal in one sentence that names the field."""
    if exc.status_code == 404 and exc.detail == "Not Found":
        return "there is no such route; GET /openapi.json lists those of the data API"
    if isinstance(exc.extra, list) and exc.extra:
        return "; ".join(_fault(item) for item in exc.extra if isinstance(item, dict))
    return exc.detail


def _fault(item: Mapping[str, Any]) -> str:
    key, message = str(item.get("key", "")), str(item.get("message", ""))
    if message == repr(key):
        # What Litestar makes of a body that is not there.
        return "a JSON body is required" if key == "data" else f"{key} is required"
    return f"{key}: {message}" if key else message
