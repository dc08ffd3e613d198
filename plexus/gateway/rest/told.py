"""What the OpenAPI document says of every operation beyond its handler's types: examples, files, further refusals.

The document is made of the handlers; `Told` is the class of its operations and completes each one when it is made, so
that no handler has to repeat what holds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from plexus.gateway.rest import arrow, csvfile, parquetfile
from plexus.gateway.rest.samples import SAMPLES

JSON = "application/json"

OF_A_BODY = {
    "408": "The body did not come in time",
    "413": "The body is larger than the gateway takes",
}
_REFUSAL = Reference(ref="#/components/schemas/Refusal")
_BYTES = Schema(type=OpenAPIType.STRING, content_media_type="application/octet-stream")
_FILES = {
    "export": (JSON, csvfile.MEDIA_TYPE, parquetfile.MEDIA_TYPE),
    "query_metrics": (JSON, arrow.MEDIA_TYPE),
    "fleet_metrics": (JSON, arrow.MEDIA_TYPE),
    "list_events": (JSON, arrow.MEDIA_TYPE),
    "list_logs": (JSON, arrow.MEDIA_TYPE),
    "metrics": ("text/plain",),
    "take_backup": ("application/x-tar", "application/zstd"),
}
"""Media types of operations that answer more than JSON, or something else."""


@dataclass
class Told(Operation):
    """An operation of the document, with what holds for all or many of them."""

    def __post_init__(self) -> None:
        """Complete what the handler gave."""
        name, responses = self.operation_id or "", self.responses or {}
        sample = SAMPLES.get(name)
        for parameter in self.parameters or ():
            if isinstance(parameter, Parameter) and isinstance(parameter.schema, Schema):
                parameter.schema = _without_null(parameter.schema)
        if isinstance(self.request_body, RequestBody):
            responses |= {status: _refusal(text) for status, text in OF_A_BODY.items() if status not in responses}
            if sample is not None and sample.body is not None:
                _show(self.request_body.content[JSON], sample.body)
        success = next((answer for status, answer in responses.items() if status < "300"), None)
        if isinstance(success, OpenAPIResponse) and success.content:
            made = success.content
            success.content = {
                media_type: made[JSON] if media_type == JSON else OpenAPIMediaType(schema=_BYTES)
                for media_type in _FILES.get(name, (JSON,))
            }
            if sample is not None:
                _show(next(iter(success.content.values())), sample.answer)
        if arrow.MEDIA_TYPE in _FILES.get(name, ()):
            responses["406"] = _refusal("The header accept names neither of the media types that this route answers")
        _retry_after(responses)


def operation_id(handler: HTTPRouteHandler, _method: Any, path: Sequence[Any]) -> str:
    """The handler's name; where it has several paths, with the last part of the path in it."""
    last = path[-1] if path and isinstance(path[-1], str) else ""
    if len(handler.paths) == 1 or not last:
        return handler.handler_name
    return f"{handler.handler_name.partition('_')[0]}_{last}"


def _without_null(schema: Schema) -> Schema:
    """What a parameter that may be left out is when it is there: a url has no null."""
    kinds = [one for one in schema.one_of or () if not (isinstance(one, Schema) and one.type == OpenAPIType.NULL)]
    if len(kinds) != 1 or not isinstance(kinds[0], Schema):
        return schema
    said = {field.name: getattr(schema, field.name) for field in fields(schema) if field.name != "one_of"}
    return replace(kinds[0], **{name: value for name, value in said.items() if value is not None})


def _refusal(description: str) -> OpenAPIResponse:
    return OpenAPIResponse(description=description, content={JSON: OpenAPIMediaType(schema=_REFUSAL)})


def _show(content: OpenAPIMediaType, value: Any) -> None:
    content.examples = {"example": Example(value=value)}


def _retry_after(responses: dict[str, Any]) -> None:
    for status in ("429", "503", "504"):
        answer = responses.get(status)
        if isinstance(answer, OpenAPIResponse):
            seconds = Schema(type=OpenAPIType.INTEGER, minimum=0)
            answer.headers = {"retry-after": OpenAPIHeader(schema=seconds, description="Seconds to wait")}
