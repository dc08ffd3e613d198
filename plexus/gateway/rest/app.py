"""The REST part, put together: routes, guard, errors, the OpenAPI document."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import attrs
from litestar import Litestar, Request, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from plexus._version import __version__
from plexus.gateway.asgi import ASGIApp, HttpError, Receive, Scope, Send
from plexus.gateway.core import Core
from plexus.gateway.fronting import Seen
from plexus.gateway.rest import (
    admin,
    arrow,
    auth,
    commands,
    delivery,
    events,
    export,
    faults,
    fleet,
    metadata,
    metrics,
    operations,
    params,
    removing,
    runs,
    sources,
)
from plexus.gateway.rest.caller import PUBLIC, Caller, Desk, build_desk, check_scope, key_of
from plexus.gateway.rest.told import Told, operation_id

ROUTES = (
    sources.list_sources,
    sources.get_source,
    delivery.get_delivery,
    sources.register_source,
    sources.devices_moved,
    removing.rename_source,
    removing.delete_source,
    removing.remove_data,
    metrics.metric_names,
    metrics.latest_values,
    metrics.query_metrics,
    metadata.put_metric,
    metadata.put_odd_metric,
    metadata.forget_metric,
    metadata.forget_odd_metric,
    events.list_events,
    fleet.fleet_health,
    fleet.fleet_metrics,
    export.export,
    commands.send_command,
    commands.list_commands,
    commands.get_command,
    runs.announce_run,
    runs.close_run,
    runs.get_run,
    runs.list_runs,
    auth.verify_key,
    auth.healthz,
    operations.readyz,
    operations.metrics,
    operations.take_backup,
    admin.list_keys,
    admin.create_key,
    admin.rotate_key,
    admin.revoke_key,
    admin.list_orgs,
    admin.list_audit,
)
for _route in ROUTES:
    _route.operation_class = Told  # of all of them, so that no handler can be forgotten in the document


@attrs.frozen
class Own:
    """What is one gateway's own; it goes with each request, so that gateways of one process share the application."""

    core: Core
    desk: Desk


def build_rest(core: Core) -> ASGIApp:
    """The REST part of the gateway as an ASGI application.

    It expects whoever stands in front of it to have put the request's KeyInfo into `scope["state"]["key"]`.
    """
    app = _application(core.limits.rest_body_bytes)
    own = Own(core, build_desk(core))

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["own"] = own
        await app(scope, receive, send)

    return rest


@lru_cache(maxsize=8)
def _application(max_body_bytes: int) -> ASGIApp:
    """Routes, guard and document, which know no gateway; to put them together takes longer than to start one."""
    return Litestar(  # type: ignore[return-value]  # its scope is a union of TypedDicts, ours the mapping they are
        route_handlers=list(ROUTES),
        dependencies={
            "caller": Provide(_provide_caller, sync_to_thread=False),
            "core": Provide(_provide_core, sync_to_thread=False),
            "asked": Provide(params.provide_window, sync_to_thread=False),
            "form": Provide(arrow.provide_form, sync_to_thread=False),
        },
        guards=[_guard],
        exception_handlers=faults.HANDLERS,
        openapi_config=_openapi(),
        request_max_body_size=max_body_bytes,
        logging_config=None,
        debug=False,
    )


def _own(connection: ASGIConnection[Any, Any, Any, Any]) -> Own:
    own: Own = connection.scope["state"]["own"]
    return own


def _provide_caller(request: Request[Any, Any, Any]) -> Caller:
    own = _own(request)
    return Caller(own.core, key_of(request), own.desk, request.receive)  # type: ignore[arg-type]  # its messages are TypedDicts


def _provide_core(request: Request[Any, Any, Any]) -> Core:
    return _own(request).core


def _guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    try:
        check_scope(connection, handler)
    except HttpError as exc:
        if exc.status == 403:
            _own(connection).core.meters.reject("scope")
        raise


class _Document(JsonRenderPlugin):
    """The document, with what stands before its paths where it is asked for: behind a proxy that is a request's own."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        seen: Seen | None = request.scope["state"].get("seen")
        prefix = "" if seen is None else seen.prefix
        return super().render(request, {**openapi_schema, "servers": [{"url": prefix or "/"}]})


def _openapi() -> OpenAPIConfig:
    """The document is made of the handlers: their types, parameters and docstrings."""
    return OpenAPIConfig(
        title="Plexus gateway",
        version=__version__,
        description="Sources, their metrics and events, commands and runs. Every request carries an API key in the "
        "header x-api-key. Not in here is what takes points, POST /ingest, /api/ingest and /api/v1/write, and the "
        "WebSockets: the documentation's page on HTTP has them.",
        components=Components(
            security_schemes={"ApiKey": SecurityScheme(type="apiKey", name="x-api-key", security_scheme_in="header")}
        ),
        security=[{"ApiKey": []}],
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        openapi_router=Router("/openapi.json", route_handlers=[], include_in_schema=False, opt=PUBLIC),
        render_plugins=[_Document(path="/", media_type=MediaType.JSON)],
    )
