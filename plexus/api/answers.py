"""The data API's answers (protocol page, section 6), read into domain values. Pure.

Fields that this release does not know are passed over; a field that is missing or of another type names itself in the
ProtocolError. Numbers, text and booleans are never converted into each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, Union, cast

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.loss import Loss
from plexus.domain.series import BucketSeries, FleetMetrics, FleetSeries, QueryResult, Series
from plexus.domain.source import ClockReport, Delivery, FleetHealth, Source, Stream
from plexus.domain.values import Value, is_number
from plexus.protocol import jsontext
from plexus.protocol.live import read_value
from plexus.protocol.points import NON_FINITE_NAMES

T = TypeVar("T")


@attrs.frozen
class Identity:
    """Whose key it is and what it may do.

    Attributes:
        org_id: the organisation.
        scopes: what the key may do, such as "read" and "write".
    """

    org_id: str
    scopes: Sequence[str]


@attrs.frozen
class _Sources:
    devices: Sequence[Source]


@attrs.frozen
class _Latest:
    metrics: Mapping[str, Value]
    non_finite: Sequence[str] = ()


@attrs.frozen
class _Queued:
    queued: bool


def sources(body: bytes) -> list[Source]:
    """The sources of `GET /v1/sources`."""
    return list(_read(body, _Sources).devices)


def source(body: bytes) -> Source:
    """One source."""
    return _read(body, Source)


def delivery(body: bytes) -> Delivery:
    """How what a source sent came in. What an older gateway does not say is as if there were none."""
    return _read(body, Delivery)


def metric_names(body: bytes) -> list[str]:
    """Names of metrics."""
    return _read(body, list[str])


def latest(body: bytes) -> dict[str, Value]:
    """The newest value by metric."""
    found = _read(body, _Latest)
    odd = {name: found.metrics[name] for name in found.non_finite if name in found.metrics}
    return {**found.metrics, **{name: _restored(value) for name, value in odd.items()}}


def query(body: bytes) -> QueryResult:
    """Series by metric."""
    return _read(body, QueryResult)


def events(body: bytes, source_id: str) -> list[Event]:
    """Events of `source_id`, which the answer itself does not name."""
    found = _read(body, tuple[Event, ...])
    return [event if event.source_id else attrs.evolve(event, source_id=source_id) for event in found]


def fleet_health(body: bytes) -> FleetHealth:
    """Counts of sources."""
    return _read(body, FleetHealth)


def fleet_metrics(body: bytes) -> FleetMetrics:
    """One metric over the fleet."""
    return _read(body, FleetMetrics)


def queued(body: bytes) -> bool:
    """Whether a command is on its way to its device."""
    return _read(body, _Queued).queued


def identity(body: bytes) -> Identity:
    """Whose key it is."""
    return _read(body, Identity)


def refusal(body: bytes) -> str:
    """What an answer that is no success says of itself: its `error` or `detail`, else its text; never raises."""
    try:
        raw = jsontext.loads(body)
    except ProtocolError:
        raw = None
    said = (raw.get("error") or raw.get("detail")) if isinstance(raw, dict) else None
    text = said if isinstance(said, str) else jsontext.dumps(said) if said else body[:_SHOWN].decode("utf-8", "replace")
    return " ".join(text.split())[:_SHOWN]


_SHOWN = 500


def _read(body: bytes, kind: type[T]) -> T:
    raw = jsontext.loads(body)
    try:
        return _converter.structure(raw, kind)
    except (cattrs.BaseValidationError, TypeError, ValueError, KeyError, AttributeError) as exc:
        where, why = _first_fault(exc)
        raise ProtocolError(f"{where or 'the answer'} {why}", field=where) from exc


def _first_fault(exc: BaseException) -> tuple[str, str]:
    """The path and the reason of the first thing that could not be read."""
    text = cattrs.transform_error(exc, path="$", format_exception=_why)[0]
    why, _, path = text.rpartition(" @ ")
    return path.lstrip("$").lstrip("."), why


def _why(exc: BaseException, _kind: type | None) -> str:
    if isinstance(exc, KeyError):
        return "is missing"
    return str(exc) if isinstance(exc, ProtocolError) else "is not of the type that the contract has"


# --- the converter: strict about types, silent about unknown fields -----------------------------------------------


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=False, detailed_validation=True)
    scalars: tuple[tuple[type, Callable[[Any], bool], str], ...] = (
        (str, lambda raw: isinstance(raw, str), "must be a string"),
        (bool, lambda raw: isinstance(raw, bool), "must be true or false"),
        (int, lambda raw: isinstance(raw, int) and not isinstance(raw, bool), "must be a whole number"),
        (float, is_number, "must be a number"),
    )
    for kind, accepts, words in scalars:
        converter.register_structure_hook(kind, _checked(accepts, words))
    columns: tuple[tuple[Any, Callable[[Any], bool], str], ...] = (
        (Sequence[float], is_number, "must be an array of numbers"),
        (Sequence[int], lambda raw: isinstance(raw, int) and not isinstance(raw, bool), "must be an array of counts"),
        (Sequence[Union[float, None]], lambda raw: raw is None or is_number(raw), "must be an array of numbers"),
        (Sequence[Value], lambda _raw: True, "must be an array"),
        (Sequence[Union[Value, None]], lambda _raw: True, "must be an array"),
        (list[str], lambda raw: isinstance(raw, str), "must be an array of strings"),
        (Sequence[str], lambda raw: isinstance(raw, str), "must be an array of strings"),
    )
    for kind, accepts, words in columns:
        converter.register_structure_hook_func(_is(kind), _column(accepts, words))
    arrays: tuple[tuple[Any, type], ...] = (
        (Sequence[Source], Source),
        (Sequence[FleetSeries], FleetSeries),
        (Sequence[Loss], Loss),
        (Sequence[Stream], Stream),
        (tuple[Event, ...], Event),
    )
    for kind, element in arrays:
        converter.register_structure_hook_func(_is(kind), _array(converter, element))
    converter.register_structure_hook_func(_is(Mapping[str, str]), _tags)
    converter.register_structure_hook_func(_is(Mapping[str, Value]), _values)
    converter.register_structure_hook_func(_is(Value), lambda raw, _kind: raw)
    _register_objects(converter)
    return converter


def _register_objects(converter: cattrs.Converter) -> None:
    for kind in (Identity, _Sources, _Latest, _Queued, Source, FleetHealth, Loss, Stream, ClockReport, Delivery):
        converter.register_structure_hook(kind, _object(make_dict_structure_fn(kind, converter)))
    read_event = _object(make_dict_structure_fn(Event, converter, name=override(rename="metric")))
    converter.register_structure_hook(Event, lambda raw, kind: read_event(_with_value(raw), kind))
    for columns in (Series, BucketSeries, FleetSeries):
        converter.register_structure_hook(columns, _table(make_dict_structure_fn(columns, converter), columns))
    converter.register_structure_hook(FleetMetrics, _object(make_dict_structure_fn(FleetMetrics, converter)))
    converter.register_structure_hook_func(_is(Mapping[str, Union[Series, BucketSeries]]), _series_map(converter))
    converter.register_structure_hook(QueryResult, _object(make_dict_structure_fn(QueryResult, converter)))


Hook = Callable[[Any, Any], Any]


def _is(kind: Any) -> Callable[[Any], bool]:
    return lambda other: bool(other == kind)


def _checked(accepts: Callable[[Any], bool], words: str) -> Hook:
    def read(raw: Any, _kind: Any) -> Any:
        if not accepts(raw):
            raise ProtocolError(words)
        return raw

    return read


def _column(accepts: Callable[[Any], bool], words: str) -> Hook:
    # A column is checked as it stands and not copied: it may hold ten thousand values.
    def read(raw: Any, _kind: Any) -> Any:
        if not isinstance(raw, list) or not all(map(accepts, raw)):
            raise ProtocolError(words)
        return raw

    return read


def _array(converter: cattrs.Converter, element: type) -> Hook:
    def read(raw: Any, _kind: Any) -> Any:
        if not isinstance(raw, list):
            raise ProtocolError("must be an array")
        return converter.structure(raw, list[element])  # type: ignore[valid-type]

    return read


def _object(inner: Callable[[Mapping[str, Any], Any], T]) -> Hook:
    def read(raw: Any, kind: Any) -> T:
        if not isinstance(raw, dict):
            raise ProtocolError("must be an object")
        return inner(raw, kind)

    return read


def _tags(raw: Any, _kind: Any) -> Mapping[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, dict) or not all(isinstance(text, str) for text in raw.values()):
        raise ProtocolError("must be an object of strings")
    return raw


def _values(raw: Any, _kind: Any) -> Mapping[str, Value]:
    if not isinstance(raw, dict):
        raise ProtocolError("must be an object")
    return raw


def _with_value(raw: Any) -> Any:
    # Here and not left to the converter, which would name the domain's field where the wire's is missing.
    if isinstance(raw, dict):
        missing = [field for field in ("timestamp_ms", "metric", "value") if field not in raw]
        if missing:
            raise ProtocolError(f"has no {missing[0]}", field=missing[0])
        return {**raw, "value": read_value(raw)}
    return raw


_MAYBE = frozenset({"last", "finite"})
"""Columns that are not on every wire, or on none."""


def _table(inner: Callable[[Mapping[str, Any], Any], T], kind: type) -> Hook:
    """Columns of one length. `last` may be missing: the hosted service does not send it."""
    columns = (field.name for field in attrs.fields(cast(Any, kind)) if field.default == ())
    names = tuple(name for name in columns if name not in _MAYBE)

    def read(raw: Any, cls: Any) -> T:
        if not isinstance(raw, dict):
            raise ProtocolError("must be an object of arrays")
        missing = [name for name in names if name not in raw]
        if missing:
            raise ProtocolError(f"has no {missing[0]}", field=missing[0])
        table = inner(raw, cls)
        lengths = {len(getattr(table, name)) for name in names}
        if len(lengths) > 1:
            raise ProtocolError(f"must have {', '.join(names)} of one length")
        return table

    return read


def _series_map(converter: cattrs.Converter) -> Hook:
    def read(raw: Any, _kind: Any) -> Mapping[str, Series | BucketSeries]:
        if not isinstance(raw, dict):
            raise ProtocolError("must be an object of series")
        return {name: _one_series(converter, name, one) for name, one in raw.items()}

    return read


def _one_series(converter: cattrs.Converter, name: str, raw: Any) -> Series | BucketSeries:
    kind: type[Series | BucketSeries] = Series if isinstance(raw, dict) and "value" in raw else BucketSeries
    try:
        return converter.structure(_with_non_finite(raw, "value" if kind is Series else "last"), kind)
    except (cattrs.BaseValidationError, ProtocolError) as exc:
        where, why = _first_fault(exc)
        raise ProtocolError(f"of {name!r}: {where} {why}".replace(":  ", ": "), field=where) from exc


def _with_non_finite(raw: Any, column: str) -> Any:
    """A series whose `non_finite` lists the places in `column` where text stands for NaN or an infinity."""
    if not isinstance(raw, dict) or not isinstance(raw.get("non_finite"), list):
        return raw
    values = raw.get(column)
    if not isinstance(values, list):
        return raw
    values = list(values)
    for index in raw["non_finite"]:
        if isinstance(index, int) and 0 <= index < len(values):
            values[index] = _restored(values[index])
    return {**raw, column: values}


def _restored(value: Any) -> Any:
    return NON_FINITE_NAMES.get(value, value) if isinstance(value, str) else value


_converter = _make_converter()
