"""What `@px.command(…)` makes of a function: its declaration, and how it is called.

Parameters come from `params={…}`, or else from the function's own signature: `int`, `float`, `str`, `bool`, a Literal
of texts (an enum), `X | None` (not required), a default (not required). `Annotated[int, {"minimum": 1, "unit": "V"}]`
adds what a type cannot say; a text there is the description.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from plexus.domain.declaration import Declaration, read_declaration, unknown_fields
from plexus.domain.errors import CommandDeclarationError, ProtocolError
from plexus.protocol import jsontext

TypedHandler = Callable[..., Any]
"""`handler(**params)`, or `handler(run, **params)`; what it returns must be sayable in JSON."""

CONTEXT_NAMES = frozenset({"run", "ctx", "context"})
"""A first parameter of such a name, which is not declared, gets the `CommandRun`; so does one annotated with it."""

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WIRE_TYPES: Mapping[object, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_UNIONS = (Union, getattr(types, "UnionType", Union))


@attrs.frozen
class Typed:
    """A typed command: its declaration, its function, and whether that asks for the run as its first argument."""

    declaration: Declaration
    handler: TypedHandler
    wants_run: bool


def declare(
    name: str, handler: TypedHandler, params: Mapping[str, Mapping[str, Any]] | None, context: type, **told: Any
) -> Typed:
    """Put a declaration together; `told` are its other fields as the wire names them, `context` the run's class.

    Raises CommandDeclarationError naming the command, the parameter and what is wrong.
    """
    if not callable(handler):
        raise CommandDeclarationError(f"command {name!r}: the handler must be callable")
    try:
        signature = _signature(handler)
        own = () if signature is None else tuple(signature.parameters.values())
        hints = _hints(handler) if params is None or own else {}
        first = own[0] if own else None
        wants_run = first is not None and _is_context(first, hints, params, context)
        schemas = _given(params) if params is not None else _from_signature(own[wants_run:], hints)
        declaration = read_declaration({**told, "name": name, "params": schemas})
        if signature is not None:
            _check_fit(declaration, own[wants_run:])
        jsontext.dumps(declaration.to_wire())
    except CommandDeclarationError as exc:
        prefix = f"command {name!r}: "
        raise CommandDeclarationError(str(exc) if str(exc).startswith("command ") else prefix + str(exc)) from None
    except ProtocolError as exc:
        raise CommandDeclarationError(f"command {name!r}: the declaration {exc}") from exc
    return Typed(declaration, handler, wants_run)


def _signature(handler: TypedHandler) -> inspect.Signature | None:
    try:
        return inspect.signature(handler)
    except (TypeError, ValueError):
        # Some functions that are written in C have none; theirs is the caller's to know.
        return None


def _hints(handler: TypedHandler) -> dict[str, Any]:
    target = handler if inspect.isroutine(handler) else getattr(handler, "func", None) or type(handler).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # A name that exists for type checkers only, or inside another function: what needs it says so by its parameter.
        return {}


def _is_context(
    first: inspect.Parameter, hints: Mapping[str, Any], params: Mapping[str, Any] | None, context: type
) -> bool:
    if first.kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        return False
    if params is not None:
        return first.name not in params and (first.default is inspect.Parameter.empty or first.name in CONTEXT_NAMES)
    hint = hints.get(first.name, first.annotation)
    if hint is context or hint == context.__name__:
        return True
    return first.name in CONTEXT_NAMES and hint is inspect.Parameter.empty


def _given(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if not isinstance(params, Mapping):
        raise CommandDeclarationError('params must be a dict such as {"outlet": {"type": "integer"}}')
    for name, schema in params.items():
        strange = unknown_fields(schema) if isinstance(schema, Mapping) else []
        if strange:
            raise CommandDeclarationError(f"parameter {name!r}: there is no field {strange[0]!r}")
    return dict(params)


def _from_signature(own: tuple[inspect.Parameter, ...], hints: Mapping[str, Any]) -> dict[str, Any]:
    return {parameter.name: _schema(parameter, hints) for parameter in own if parameter.kind in _NAMED}


def _schema(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> dict[str, Any]:
    hint = hints.get(parameter.name, parameter.annotation)
    extras: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        extras = tuple(rest)
    hint, optional = _without_none(hint)
    schema: dict[str, Any] = _wire_type(parameter.name, hint)
    for extra in extras:
        if isinstance(extra, str):
            schema["description"] = extra
        elif isinstance(extra, Mapping):
            schema.update(_given({parameter.name: extra})[parameter.name])
    if parameter.default is not inspect.Parameter.empty:
        schema["default"] = parameter.default
        schema["required"] = False
    elif optional:
        schema["required"] = False
    return schema


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in _UNIONS:
        return hint, False
    kinds = [each for each in get_args(hint) if each is not type(None)]
    return (kinds[0] if len(kinds) == 1 else hint), len(kinds) < len(get_args(hint))


def _wire_type(name: str, hint: Any) -> dict[str, Any]:
    if get_origin(hint) is Literal and all(isinstance(choice, str) for choice in get_args(hint)):
        return {"type": "string", "enum": list(get_args(hint))}
    for kind, word in _WIRE_TYPES.items():
        if hint is kind or hint == getattr(kind, "__name__", None):
            return {"type": word}
    raise CommandDeclarationError(
        f"parameter {name!r}: annotate it as int, float, str, bool or a Literal of texts, or declare it in params={{…}}"
    )


def _check_fit(declaration: Declaration, own: tuple[inspect.Parameter, ...]) -> None:
    """Refuse a function that could not be called with what is declared."""
    for parameter in own:
        needed = parameter.default is inspect.Parameter.empty and parameter.kind not in (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        )
        declared = declaration.params.get(parameter.name)
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and needed:
            raise CommandDeclarationError(f"parameter {parameter.name!r} of the handler cannot be given by name")
        if needed and declared is None:
            raise CommandDeclarationError(f"parameter {parameter.name!r} of the handler is not declared in params")
        if needed and declared is not None and not declared.required and declared.default is None:
            raise CommandDeclarationError(
                f"parameter {parameter.name!r} is not required and has no default, so the handler must have one"
            )
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own):
        return
    takes = {parameter.name for parameter in own if parameter.kind in _NAMED}
    missing = [name for name in declaration.params if name not in takes]
    if missing:
        raise CommandDeclarationError(f"parameter {missing[0]!r} is declared, and the handler does not take it")
