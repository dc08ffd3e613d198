"""What a device declares of a command under protocol 1: typed parameters, danger, expiry, concurrency.

Both ends read declarations with these rules: the device before it sends one, the gateway when one arrives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from plexus.domain.errors import CommandDeclarationError, CommandParamError
from plexus.domain.values import is_number

Danger = Literal["normal", "dangerous", "critical"]
"""What a person has to do to send it: one click, one more to confirm, or type the device's name."""

Concurrency = Literal["accept", "reject"]
"""Whether a second run may begin while one is going on."""

DANGERS: Mapping[str, Danger] = {"normal": "normal", "dangerous": "dangerous", "critical": "critical"}
CONCURRENCIES: Mapping[str, Concurrency] = {"accept": "accept", "reject": "reject"}
MIN_EXPIRES_S, MAX_EXPIRES_S = 5.0, 3600.0
DEFAULT_EXPIRES_S = 30.0
MAX_PARAMS = 16
MAX_CHOICES = 64
MAX_SHOWN_CHARS = 80

NAME_RULE = r"^[a-z][a-z0-9_]{0,63}$"
_name = re.compile(NAME_RULE.replace("$", r"\Z"))

_COMMON = ("type", "title", "description", "default", "required")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "string": (*_COMMON, "maxLength", "enum"),
    "integer": (*_COMMON, "minimum", "maximum", "unit"),
    "number": (*_COMMON, "minimum", "maximum", "unit"),
    "boolean": _COMMON,
}
TYPES = tuple(_FIELDS)


@attrs.frozen
class Parameter:
    """One parameter. `default` None: there is none. Limits that do not belong to the type are None.

    Attributes:
        type: "string", "integer", "number" or "boolean".
        minimum, maximum, unit: of a number.
        max_length, choices: of a string; characters, and the only values that it may have.
    """

    name: str
    type: str
    title: str | None = None
    description: str | None = None
    default: Any = None
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    unit: str | None = None
    max_length: int | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> Any:
        """The value as the handler gets it; raises CommandParamError naming this parameter and what it takes."""
        checked: Any = _CHECKS[self.type](self, value)
        return checked

    def to_wire(self) -> dict[str, Any]:
        """As `device_auth` carries it."""
        fields = {
            "type": self.type,
            "title": self.title,
            "description": self.description,
            "default": self.default,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "unit": self.unit,
            "maxLength": self.max_length,
            "enum": list(self.choices) or None,
        }
        return {**{name: value for name, value in fields.items() if value is not None}, "required": self.required}


@attrs.frozen
class Declaration:
    """One command of a device."""

    name: str
    title: str | None = None
    description: str | None = None
    danger: Danger = "normal"
    idempotent: bool = False
    expires_in_s: float = DEFAULT_EXPIRES_S
    concurrency: Concurrency = "accept"
    params: Mapping[str, Parameter] = attrs.field(factory=dict)

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the handler is called with: every value checked, defaults filled in.

        Raises CommandParamError naming the parameter at fault.
        """
        unknown = [name for name in params if name not in self.params]
        if unknown:
            known = ", ".join(self.params) or "none"
            raise CommandParamError(f"unknown parameter {_shown(unknown[0])}: {self.name} takes {known}")
        checked: dict[str, Any] = {}
        for name, parameter in self.params.items():
            value = params.get(name)
            if value is not None:
                checked[name] = parameter.check(value)
            elif parameter.default is not None:
                checked[name] = parameter.default
            elif parameter.required:
                raise CommandParamError(f"{name} is required")
        return checked

    def to_wire(self) -> dict[str, Any]:
        """As `device_auth` carries it."""
        return {
            "name": self.name,
            **({} if self.title is None else {"title": self.title}),
            **({} if self.description is None else {"description": self.description}),
            "danger": self.danger,
            "idempotent": self.idempotent,
            "expires_in_s": self.expires_in_s,
            "concurrency": self.concurrency,
            "params": {name: parameter.to_wire() for name, parameter in self.params.items()},
        }


# --- reading a declaration ----------------------------------------------------------------------------------------


def read_declaration(raw: Mapping[str, Any]) -> Declaration:
    """A command as it was declared; raises CommandDeclarationError naming the command and what is wrong.

    Fields that this release does not know are passed over, as everywhere on the wire.
    """
    name = raw.get("name")
    if not isinstance(name, str) or not _name.match(name):
        raise CommandDeclarationError(f"command name {_shown(name)} is not valid: the rule is {NAME_RULE}")
    try:
        return Declaration(
            name=name,
            title=_text(raw, "title"),
            description=_text(raw, "description"),
            danger=_one_of(raw, "danger", DANGERS, "normal"),
            idempotent=_flag(raw, "idempotent", default=False),
            expires_in_s=_expiry(raw),
            concurrency=_one_of(raw, "concurrency", CONCURRENCIES, "accept"),
            params=_parameters(raw.get("params")),
        )
    except CommandDeclarationError as exc:
        raise CommandDeclarationError(f"command {name!r}: {exc}") from None


def _parameters(raw: object) -> dict[str, Parameter]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise CommandDeclarationError('params must be an object such as {"outlet": {"type": "integer"}}')
    if len(raw) > MAX_PARAMS:
        raise CommandDeclarationError(f"at most {MAX_PARAMS} params can be declared, not {len(raw)}")
    return {str(name): read_parameter(name, schema) for name, schema in raw.items()}


def read_parameter(name: object, schema: object) -> Parameter:
    """One parameter as it was declared; raises CommandDeclarationError naming it."""
    if not isinstance(name, str) or not _name.match(name):
        raise CommandDeclarationError(f"parameter name {_shown(name)} is not valid: the rule is {NAME_RULE}")
    try:
        return _parameter(name, schema)
    except (CommandDeclarationError, CommandParamError) as exc:
        raise CommandDeclarationError(f"parameter {name!r}: {exc}") from None


def _parameter(name: str, schema: object) -> Parameter:
    if not isinstance(schema, Mapping):
        raise CommandDeclarationError(f'it must be an object such as {{"type": "integer"}}, not {_shown(schema)}')
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise CommandDeclarationError(f"type must be one of {', '.join(TYPES)}, not {_shown(kind)}")
    misplaced = [
        field
        for field in ("minimum", "maximum", "unit", "maxLength", "enum")
        if schema.get(field) is not None and field not in _FIELDS[kind]
    ]
    if misplaced:
        raise CommandDeclarationError(f"{misplaced[0]} does not belong to the type {kind}")
    bare = Parameter(
        name=name,
        type=kind,
        title=_text(schema, "title"),
        description=_text(schema, "description"),
        required=_flag(schema, "required", default=schema.get("default") is None),
        minimum=_bound(schema, "minimum", kind),
        maximum=_bound(schema, "maximum", kind),
        unit=_text(schema, "unit"),
        max_length=_max_length(schema),
        choices=_choices(schema),
    )
    if bare.minimum is not None and bare.maximum is not None and bare.minimum > bare.maximum:
        raise CommandDeclarationError(f"minimum {bare.minimum} is above maximum {bare.maximum}")
    default = schema.get("default")
    return bare if default is None else attrs.evolve(bare, default=bare.check(default))


def unknown_fields(schema: Mapping[str, Any]) -> list[str]:
    """Fields of a parameter that no type has: a device's own slip (`min` for `minimum`), which the wire passes over."""
    known = {field for fields in _FIELDS.values() for field in fields}
    return [str(field) for field in schema if field not in known]


def _text(raw: Mapping[str, Any], field: str) -> str | None:
    value = raw.get(field)
    if value is not None and not isinstance(value, str):
        raise CommandDeclarationError(f"{field} must be text, not {type(value).__name__}")
    return value


def _flag(raw: Mapping[str, Any], field: str, *, default: bool) -> bool:
    value = raw.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise CommandDeclarationError(f"{field} must be true or false, not {_shown(value)}")
    return value


def _one_of(raw: Mapping[str, Any], field: str, choices: Mapping[str, Any], default: Any) -> Any:
    value = raw.get(field)
    if value is None:
        return default
    if not isinstance(value, str) or value not in choices:
        raise CommandDeclarationError(f"{field} must be one of {', '.join(choices)}, not {_shown(value)}")
    return choices[value]


def _expiry(raw: Mapping[str, Any]) -> float:
    value = raw.get("expires_in_s")
    if value is None:
        return DEFAULT_EXPIRES_S
    if not is_number(value) or not MIN_EXPIRES_S <= value <= MAX_EXPIRES_S:
        raise CommandDeclarationError(
            f"expires_in_s must be {MIN_EXPIRES_S:g} to {MAX_EXPIRES_S:g} seconds, not {_shown(value)}"
        )
    return float(value)


def _bound(schema: Mapping[str, Any], field: str, kind: str) -> float | None:
    value = schema.get(field)
    if value is None:
        return None
    if not is_number(value) or not math.isfinite(_as_float(value)):
        raise CommandDeclarationError(f"{field} must be a number, not {_shown(value)}")
    if kind == "integer" and value != int(value):
        raise CommandDeclarationError(f"{field} of an integer must be a whole number, not {_shown(value)}")
    return int(value) if kind == "integer" else float(value)


def _max_length(schema: Mapping[str, Any]) -> int | None:
    value = schema.get("maxLength")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CommandDeclarationError(f"maxLength must be a whole number of at least 1, not {_shown(value)}")
    return value


def _choices(schema: Mapping[str, Any]) -> tuple[str, ...]:
    value = schema.get("enum")
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise CommandDeclarationError(f"enum must be a list of texts, not {_shown(value)}")
    if not 1 <= len(value) <= MAX_CHOICES or len(set(value)) != len(value):
        raise CommandDeclarationError(f"enum must be 1 to {MAX_CHOICES} different texts; there are {len(value)}")
    return tuple(value)


# --- checking values ----------------------------------------------------------------------------------------------


def _check_string(parameter: Parameter, value: object) -> str:
    if not isinstance(value, str):
        raise _refusal(parameter, "a string", value)
    if parameter.choices and value not in parameter.choices:
        raise _refusal(parameter, f"one of {', '.join(parameter.choices)}", value)
    if parameter.max_length is not None and len(value) > parameter.max_length:
        raise _refusal(parameter, f"at most {parameter.max_length} characters", value)
    return value


def _check_boolean(parameter: Parameter, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refusal(parameter, "true or false", value)
    return value


def _check_integer(parameter: Parameter, value: object) -> int:
    # A sender whose numbers are all of one kind writes 3.0 for 3.
    if not is_number(value) or (isinstance(value, float) and not value.is_integer()):
        raise _refusal(parameter, "an integer", value)
    whole = int(value)  # type: ignore[call-overload]  # `is_number` says so
    _check_limits(parameter, whole)
    return int(whole)


def _check_number(parameter: Parameter, value: object) -> float:
    if not is_number(value) or not math.isfinite(_as_float(value)):
        raise _refusal(parameter, "a number", value)
    number = _as_float(value)
    _check_limits(parameter, number)
    return number


def _check_limits(parameter: Parameter, value: float) -> None:
    if parameter.minimum is not None and value < parameter.minimum:
        raise _refusal(parameter, f"at least {parameter.minimum}", value)
    if parameter.maximum is not None and value > parameter.maximum:
        raise _refusal(parameter, f"at most {parameter.maximum}", value)


def _refusal(parameter: Parameter, expected: str, value: object) -> CommandParamError:
    return CommandParamError(f"{parameter.name} must be {expected}, not {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


_CHECKS: Mapping[str, Callable[[Parameter, object], Any]] = {
    "string": _check_string,
    "integer": _check_integer,
    "number": _check_number,
    "boolean": _check_boolean,
}
