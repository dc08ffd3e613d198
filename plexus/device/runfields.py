"""What a caller passes to `px.run` and `px.start_run`, checked at the call. Errors name the field and the way out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, Union

from plexus.domain.errors import ConfigurationError, ProtocolError
from plexus.domain.isotime import parse_iso
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, MAX_TAGS, is_gateway_source_id, metric_fault
from plexus.domain.point import MAX_ABS_MS, to_milliseconds
from plexus.domain.run import OPERATORS, Criterion
from plexus.domain.values import is_number
from plexus.protocol import jsontext

MAX_NAME_BYTES = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Own(Enum):
    """Stands for the client's own source, where None is a run of the whole organisation."""

    SOURCE = "this client's source"


SourceChoice = Union[str, None, Own]
CriterionItem = Union[Criterion, Mapping[str, Any]]
"""`{"metric": "motor.temp_c", "operator": "<", "value": 85, "label": "stays cool"}`, or the same as a Criterion."""


def check_name(name: object) -> str:
    """A run's name."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(f"the name of a run, {name!r}, is not valid: use a text that is not empty")
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES or not name.isprintable():
        raise ConfigurationError(
            f"the name of a run is not valid: use at most {MAX_NAME_BYTES} bytes of printable text"
        )
    return name


def check_tags(tags: Mapping[str, object] | None) -> dict[str, str]:
    """A run's tags, as text."""
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags of a run must be a dict of texts, not {type(tags).__name__}")
    if len(tags) > MAX_TAGS:
        raise ConfigurationError(f"tags of a run must be at most {MAX_TAGS}, not {len(tags)}")
    return {_text(name): _text(value) for name, value in tags.items()}


def check_metadata(metadata: Mapping[str, Any] | None, *, store_frames: bool) -> dict[str, Any]:
    """A copy of a run's metadata, which JSON must be able to say."""
    if metadata is not None and not isinstance(metadata, Mapping):
        raise ConfigurationError(f"metadata of a run must be a dict, not {type(metadata).__name__}")
    try:
        kept: dict[str, Any] = jsontext.loads(jsontext.dumps(dict(metadata or {})))
    except ProtocolError as exc:
        raise ConfigurationError(f"metadata of a run {exc}") from exc
    return {**kept, "store_frames": True} if store_frames else kept


def check_source(source_id: SourceChoice) -> SourceChoice:
    """The source that a run is of."""
    if source_id is not None and not isinstance(source_id, Own) and not is_gateway_source_id(source_id):
        raise ConfigurationError(
            f"source_id {source_id!r} of a run is not valid: the rule is {GATEWAY_SOURCE_ID_RULE}; "
            "None is a run of the whole organisation"
        )
    return source_id


def check_criteria(criteria: Iterable[CriterionItem] | None) -> tuple[Criterion, ...]:
    """What a run is judged by when it ends."""
    if criteria is None:
        return ()
    if isinstance(criteria, (str, bytes, Mapping)) or not isinstance(criteria, Iterable):
        raise ConfigurationError(f"pass_criteria must be a list of conditions, not {type(criteria).__name__}")
    return tuple(_criterion(index, item) for index, item in enumerate(criteria))


def check_start(started_at: datetime | str | float | None) -> float | None:
    """When a run began, milliseconds since 1970 UTC: an aware datetime, ISO 8601 with an offset, or seconds or ms."""
    return None if started_at is None else check_time(started_at, "started_at")


def check_time(when: datetime | str | float, field: str) -> float:
    """A moment of a run, milliseconds since 1970 UTC; a time without an offset is refused, since nobody knows it."""
    if isinstance(when, str):
        try:
            when = parse_iso(when)
        except ValueError:
            raise ConfigurationError(
                f"{field} {when!r:.80} is not ISO 8601 with an offset, such as 2026-05-01T12:00:00+00:00"
            ) from None
    if isinstance(when, datetime):
        if when.utcoffset() is None:
            raise ConfigurationError(f"{field} {when} has no time zone; use datetime.now(timezone.utc)")
        return (when - _EPOCH) / timedelta(milliseconds=1)
    if not is_number(when) or not math.isfinite(when):
        raise ConfigurationError(
            f"{field} must be an aware datetime, ISO 8601 with an offset, or a number, not {when!r:.80}"
        )
    milliseconds = to_milliseconds(when)
    if not abs(milliseconds) <= MAX_ABS_MS:
        raise ConfigurationError(f"{field} {when!r} is no time between the years 1678 and 2261")
    return float(milliseconds)


def _criterion(index: int, item: object) -> Criterion:
    field = f"pass_criteria[{index}]"
    if isinstance(item, Criterion):
        item = item.to_wire()
    if not isinstance(item, Mapping):
        raise ConfigurationError(f'{field} must be a dict such as {{"metric": "m", "operator": "<", "value": 85}}')
    strange = [name for name in item if name not in ("metric", "operator", "value", "label")]
    if strange:
        raise ConfigurationError(f"{field} has no field {strange[0]!r}: it takes metric, operator, value, label")
    metric, operator, value, label = (item.get(name) for name in ("metric", "operator", "value", "label"))
    fault = metric_fault(metric)
    if fault is not None:
        raise ConfigurationError(f"{field}: {fault}")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise ConfigurationError(f"{field}: operator must be one of {' '.join(OPERATORS)}, not {operator!r:.80}")
    if not is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]  # `is_number` says so
        raise ConfigurationError(f"{field}: value must be a number, not {value!r:.80}")
    if label is not None and not isinstance(label, str):
        raise ConfigurationError(f"{field}: label must be text, not {type(label).__name__}")
    return Criterion(str(metric), operator, value, _text(label or ""))  # type: ignore[arg-type]  # `is_number` says so


def _text(value: object) -> str:
    # A lone surrogate (a file name, say) would make the announcement unsendable.
    return str(value).encode("utf-8", "replace").decode()
