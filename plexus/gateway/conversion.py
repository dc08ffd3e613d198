"""A setting's value as it was written, made into the type that its field has; ValueError says what is allowed."""

from __future__ import annotations

import math
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

from plexus.domain.names import KEY_PREFIX

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path, as text"}


def types_of(made: type) -> dict[str, Any]:
    """The types of a class's fields, by name."""
    return {name: type_ for name, type_ in typing.get_type_hints(made).items() if name in made.__annotations__}


def convert(type_: Any, value: Any, *, is_text: bool, folder: Path | None = None) -> Any:
    """`value` as `type_`. Text (of the environment or a flag) is parsed; a file's values have types already.

    A relative path is taken from `folder`. A number is never below 0.
    """
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if origin in (Union, types.UnionType):
        if is_text and value.strip() == "":
            return None
        inner = next(each for each in arguments if each is not type(None))
        return convert(inner, value, is_text=is_text, folder=folder)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{shown(value)} is none of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        return _several(value, is_text=is_text)
    if is_text:
        value = _parsed(type_, value)
    return _checked(type_, value, folder)


def shown(value: Any) -> str:
    """A value in a message; not when it could be a key that somebody put into the wrong place."""
    text = repr(value)
    return "(not shown: it looks like a key)" if KEY_PREFIX in text else text[:100]


def _several(value: Any, *, is_text: bool) -> tuple[str, ...]:
    if is_text:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError(f'{shown(value)} is not a list of texts: write ["…", "…"]')
    return tuple(value)


def _parsed(type_: Any, text: str) -> Any:
    text = text.strip()
    try:
        if type_ is bool and text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
        if type_ in (int, float):
            return type_(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not {_NAMES[type_]}") from None
    return text


def _checked(type_: Any, value: Any, folder: Path | None) -> Any:
    wanted: Any = {float: (int, float), Path: str}.get(type_, type_)
    if not isinstance(value, wanted) or (isinstance(value, bool) and type_ is not bool):
        raise ValueError(f"{shown(value)} is not {_NAMES[type_]}")
    if type_ is Path:
        return _path(str(value), folder)
    if type_ in (int, float) and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{shown(value)} is out of range: write 0 or more")
    return float(value) if type_ is float else value


def _path(text: str, folder: Path | None) -> Path:
    if not text:
        raise ValueError("write a path")
    path = Path(text).expanduser()
    return path if folder is None else folder / path
