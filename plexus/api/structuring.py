"""The cattrs converter behind `answers`: strict about types, silent about fields that this release does not know.

Numbers, text and booleans are never converted into each other. A field that is missing or of another type names itself
in the ProtocolError. A column is checked as it stands and not copied: it may hold a million values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import GenericAlias
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from plexus.api.times import read_instant_ms
from plexus.domain.errors import ProtocolError
from plexus.domain.event import Event
from plexus.domain.run import Run, RunStatus
from plexus.domain.series import BucketSeries, FleetSeries, Series
from plexus.domain.values import Value
from plexus.protocol.live import read_value
from plexus.protocol.points import NON_FINITE_NAMES

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

WHOLE: frozenset[type] = frozenset({int})
NUMBERS: frozenset[type] = frozenset({int, float})
MAYBE_NUMBERS = NUMBERS | {type(None)}


def structure(raw: Any, kind: type[T]) -> T:
    """Parsed JSON as a value of `kind`; raises ProtocolError whose `field` is where the fault is."""
    try:
        return _converter().structure(raw, kind)
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


# --- the rules ----------------------------------------------------------------------------------------------


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=False, detailed_validation=True)
    converter.register_structure_hook_factory(attrs.has, lambda kind: _object(make_dict_structure_fn(kind, converter)))
    converter.register_structure_hook_func(_is_array_of_objects, _array(converter))
    for scalar, only, words in _SCALARS:
        converter.register_structure_hook(scalar, _one(only, words))
    for column, types, words in _COLUMNS:
        converter.register_structure_hook_func(_is(column), _column(types, words))
    for mapping, types, words in _MAPPINGS:
        converter.register_structure_hook_func(_is(mapping), _mapping(types, words))
    # A word that a newer server has is better shown than refused.
    converter.register_structure_hook_func(_is(RunStatus), _one(frozenset({str}), "must be a string"))
    for anything in (Value, Any, Union[Mapping[str, Any], Sequence[Any]]):
        converter.register_structure_hook_func(_is(anything), lambda raw, _kind: raw)
    _register_special(converter)
    return converter


def _register_special(converter: cattrs.Converter) -> None:
    read_event = _object(make_dict_structure_fn(Event, converter, name=override(rename="metric")))
    converter.register_structure_hook(Event, lambda raw, kind: read_event(_with_value(raw), kind))
    read_run = _object(make_dict_structure_fn(Run, converter, run_id=override(rename="id")))
    converter.register_structure_hook(Run, lambda raw, kind: read_run(_with_times(raw), kind))
    for columns in (Series, BucketSeries, FleetSeries):
        converter.register_structure_hook(columns, _table(make_dict_structure_fn(columns, converter), columns))
    converter.register_structure_hook_func(_is(Mapping[str, Union[Series, BucketSeries]]), _series_map(converter))


_SCALARS: tuple[tuple[Any, frozenset[type], str], ...] = (
    (str, frozenset({str}), "must be a string"),
    (bool, frozenset({bool}), "must be true or false"),
    (int, WHOLE, "must be a whole number"),
    (float, NUMBERS, "must be a number"),
)
_COLUMNS: tuple[tuple[Any, frozenset[type] | None, str], ...] = (
    (Sequence[float], NUMBERS, "must be an array of numbers"),
    (Sequence[int], WHOLE, "must be an array of counts"),
    (Sequence[Union[float, None]], MAYBE_NUMBERS, "must be an array of numbers"),
    (Sequence[Value], None, "must be an array"),
    (Sequence[Union[Value, None]], None, "must be an array"),
    (list[str], frozenset({str}), "must be an array of strings"),
    (Sequence[str], frozenset({str}), "must be an array of strings"),
)
"""None: of whatever JSON has."""

_MAPPINGS: tuple[tuple[Any, frozenset[type] | None, str], ...] = (
    (Mapping[str, str], frozenset({str}), "must be an object of strings"),
    (Mapping[str, Value], None, "must be an object"),
    (Mapping[str, Any], None, "must be an object"),
)


def _is(kind: Any) -> Callable[[Any], bool]:
    return lambda other: bool(other == kind)


def _is_array_of_objects(kind: Any) -> bool:
    return get_origin(kind) in (Sequence, list) and attrs.has(get_args(kind)[0])


def _one(types: frozenset[type], words: str) -> Hook:
    def read(raw: Any, _kind: Any) -> Any:
        if type(raw) in types:
            return raw
        if types == WHOLE and _is_whole(raw):
            return int(raw)
        raise ProtocolError(words)

    return read


def _is_whole(raw: Any) -> bool:
    """Whether it is a whole number, which JSON may also write as 3.0."""
    return type(raw) is int or (type(raw) is float and raw.is_integer())


def _column(types: frozenset[type] | None, words: str) -> Hook:
    def read(raw: Any, _kind: Any) -> Any:
        if not isinstance(raw, list):
            raise ProtocolError(words)
        if types is None or types.issuperset(map(type, raw)):
            return raw
        if types == WHOLE and all(map(_is_whole, raw)):
            return list(map(int, raw))
        raise ProtocolError(words)

    return read


def _mapping(types: frozenset[type] | None, words: str) -> Hook:
    """An object; null where an older server has none."""

    def read(raw: Any, _kind: Any) -> Any:
        if raw is None and types is not None:
            return {}
        if not isinstance(raw, dict) or (types is not None and not types.issuperset(map(type, raw.values()))):
            raise ProtocolError(words)
        return raw

    return read


def _array(converter: cattrs.Converter) -> Hook:
    def read(raw: Any, kind: Any) -> Any:
        if not isinstance(raw, list):
            raise ProtocolError("must be an array")
        elements: Any = GenericAlias(tuple, (get_args(kind)[0], ...))
        return list(converter.structure(raw, elements))

    return read


def _object(inner: Callable[[Mapping[str, Any], Any], T]) -> Hook:
    def read(raw: Any, kind: Any) -> T:
        if not isinstance(raw, dict):
            raise ProtocolError("must be an object")
        return inner(raw, kind)

    return read


# --- what is not on the wire as it is here ------------------------------------------------------------------


def _with_value(raw: Any) -> Any:
    # Here and not left to the converter, which would name the domain's field where the wire's is missing.
    if isinstance(raw, dict):
        _require(raw, ("timestamp_ms", "metric", "value"))
        return {**raw, "value": read_value(raw)}
    return raw


def _with_times(raw: Any) -> Any:
    """A run with its times in milliseconds."""
    if not isinstance(raw, dict):
        return raw
    _require(raw, ("id", "started_at"))
    started, ended = raw["started_at"], raw.get("ended_at")
    given = {name: value for name, value in raw.items() if value is not None or name not in _EMPTY}
    return {
        **given,
        "started_ms": read_instant_ms(started, "started_at"),
        "ended_ms": None if ended is None else read_instant_ms(ended, "ended_at"),
    }


_EMPTY = frozenset({"tags", "metadata", "pass_criteria"})
"""Of a run: null where there is none."""


def _require(raw: Mapping[str, Any], fields: Sequence[str]) -> None:
    missing = [field for field in fields if field not in raw]
    if missing:
        raise ProtocolError(f"has no {missing[0]}", field=missing[0])


_MAYBE = frozenset({"last", "finite"})
"""Columns that are not on every wire, or on none."""


def _table(inner: Callable[[Mapping[str, Any], Any], T], kind: type) -> Hook:
    """Columns of one length. `last` may be missing: the hosted service does not send it."""
    columns = (field.name for field in attrs.fields(cast(Any, kind)) if field.default == ())
    names = tuple(name for name in columns if name not in _MAYBE)

    def read(raw: Any, cls: Any) -> T:
        if not isinstance(raw, dict):
            raise ProtocolError("must be an object of arrays")
        _require(raw, names)
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
            values[index] = restored(values[index])
    return {**raw, column: values}


def restored(value: Any) -> Any:
    """NaN or an infinity for the text that stands for it; anything else as it is."""
    return NON_FINITE_NAMES.get(value, value) if isinstance(value, str) else value
