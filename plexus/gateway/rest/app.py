"""The REST part, put together: routes, guard, errors, the OpenAPI document."""

from __future__ import annotations

from typing import Any

import anyio
from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from plexus._version import __version__
from plexus.gateway.asgi import ASGIApp
from plexus.gateway.core import Core
from plexus.gateway.rest import auth, commands, events, faults, fleet, metrics, params, runs, sources
from plexus.gateway.rest.caller import PUBLIC, QUESTIONS_AT_ONCE, Caller, check_scope, key_of

ROUTES = (
    sources.list_sources,
    sources.get_source,
    sources.get_delivery,
    sources.register_source,
    sources.devices_moved,
    metrics.metric_names,
    metrics.latest_values,
    metrics.query_metrics,
    events.list_events,
    fleet.fleet_health,
    fleet.fleet_metrics,
    commands.send_command,
    runs.announce_run,
    runs.close_run,
    runs.list_runs,
    auth.verify_key,
    auth.healthz,
)


def build_rest(core: Core) -> ASGIApp:
    """The REST part of the gateway as an ASGI application.

    It expects whoever stands in front of it to have put the request's KeyInfo into `scope["state"]["key"]`.
    """
    limiter = anyio.CapacityLimiter(QUESTIONS_AT_ONCE)

    def provide_caller(request: Request[Any, Any, Any]) -> Caller:
        return Caller(core, key_of(request), limiter)

    app: ASGIApp = Litestar(  # type: ignore[assignment]  # its scope is a union of TypedDicts, ours the mapping they are
        route_handlers=list(ROUTES),
        dependencies={
            "caller": Provide(provide_caller, sync_to_thread=False),
            "asked": Provide(params.provide_window, sync_to_thread=False),
        },
        guards=[check_scope],
        exception_handlers=faults.HANDLERS,
        openapi_config=_openapi(),
        request_max_body_size=core.limits.rest_body_bytes,
        logging_config=None,
        debug=False,
    )
    return app


def _openapi() -> OpenAPIConfig:
    """The document is made of the handlers: their types, parameters and docstrings."""
    return OpenAPIConfig(
        title="Plexus gateway",
        version=__version__,
        description="Sources, their metrics and events, commands and runs. Every request carries an API key in the "
        "header x-api-key.",
        components=Components(
            security_schemes={"ApiKey": SecurityScheme(type="apiKey", name="x-api-key", security_scheme_in="header")}
        ),
        security=[{"ApiKey": []}],
        use_handler_docstrings=True,
        openapi_router=Router("/openapi.json", route_handlers=[], include_in_schema=False, opt=PUBLIC),
        render_plugins=[JsonRenderPlugin(path="/", media_type=MediaType.JSON)],
    )
