"""Where each setting of `plexus serve` comes from: a flag, then the environment, then a file, then the default.

A key is written as its TOML path, `limits.body_bytes`; its variable is PLEXUS_GATEWAY_LIMITS_BODY_BYTES, and any of
them can be a flag, `--set limits.body_bytes=1000000`. Files are /etc/plexus/gateway.toml and, over it,
DATA/gateway.toml, or the one that was named and no other. No setting is a secret: keys have other ways in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from plexus.domain.errors import ConfigurationError
from plexus.gateway import conversion, tomltext
from plexus.gateway.core import Limits
from plexus.gateway.settings import Cors, Log, Proxy, Retention, Sealing, Settings, Tls

PREFIX = "PLEXUS_GATEWAY_"
CONFIG_VARIABLE = "PLEXUS_GATEWAY_CONFIG"
OTHERS = frozenset({CONFIG_VARIABLE, "PLEXUS_GATEWAY_URL", "PLEXUS_GATEWAY_WS_URL"})
"""Variables that begin like ours and are none of the keys: the last two tell a device where its gateway is."""

SYSTEM_FILE = Path("/etc/plexus/gateway.toml")
FILE_NAME = "gateway.toml"
DEFAULT_PORT = 8080

SECTIONS: Mapping[str, type] = {
    "limits": Limits,
    "retention": Retention,
    "sealing": Sealing,
    "cors": Cors,
    "proxy": Proxy,
    "tls": Tls,
    "log": Log,
}


def _port(_instance: Any, _attribute: Any, value: int) -> None:
    if not 0 <= value <= 65_535:
        raise ValueError("write a port: 0 to 65535")


@attrs.frozen
class Place:
    """Where the gateway listens, and where it keeps its data."""

    data: Path
    host: str = "127.0.0.1"
    port: int = attrs.field(default=DEFAULT_PORT, validator=_port)


@attrs.frozen
class Given:
    """One setting as somebody wrote it: the value, who wrote it, and whether it is text that has no type yet."""

    value: Any
    where: str
    is_text: bool
    folder: Path | None = None


@attrs.frozen
class Configuration:
    """What is in force: `origins` has, by key, who said so."""

    place: Place
    settings: Settings
    origins: Mapping[str, str]

    def to_toml(self) -> str:
        """Everything as a file that says the same; what has no value is a comment."""
        return tomltext.dump([(key, self._value(key), self.origins[key]) for key in FIELDS])

    def _value(self, key: str) -> Any:
        section, _, name = key.rpartition(".")
        if section:
            return getattr(getattr(self.settings, section), name)
        return getattr(self.place if name in _PLACE else self.settings, name)


def _fields() -> dict[str, attrs.Attribute[Any]]:
    found = {field.name: field for field in (attrs.fields_dict(Place) | attrs.fields_dict(Settings)).values()}
    plain = {name: field for name, field in found.items() if name not in SECTIONS}
    nested = {
        f"{section}.{name}": field
        for section, made in SECTIONS.items()
        for name, field in attrs.fields_dict(made).items()
    }
    return plain | nested


_PLACE = frozenset(attrs.fields_dict(Place))
FIELDS: Mapping[str, attrs.Attribute[Any]] = _fields()
"""Every key, in the order in which it is shown."""
TYPES: Mapping[str, Any] = {
    **conversion.types_of(Place),
    **conversion.types_of(Settings),
    **{
        f"{section}.{name}": type_
        for section, made in SECTIONS.items()
        for name, type_ in conversion.types_of(made).items()
    },
}
VARIABLES: Mapping[str, str] = {PREFIX + key.replace(".", "_").upper(): key for key in FIELDS}


def read(
    flags: Mapping[str, Given],
    *,
    default_data: Path,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    system_file: Path = SYSTEM_FILE,
) -> Configuration:
    """What is in force when `flags` were given by key.

    Raises ConfigurationError for what is not known or cannot be, naming where it was written and what is allowed.
    """
    env = os.environ if environ is None else environ
    variables = _from_environment(env)
    named = file or (Path(env[CONFIG_VARIABLE]).expanduser() if env.get(CONFIG_VARIABLE, "").strip() else None)
    above = {**variables, **flags}
    if named is not None:
        return _build({**from_file(named), **above}, default_data)
    below = from_file(system_file) if system_file.is_file() else {}
    data = _data_of({**below, **above}, default_data)
    own = data / FILE_NAME
    if own.is_file():
        inside = from_file(own)
        if "data" in inside and _data_of(inside, data).resolve() != data.resolve():
            raise ConfigurationError(
                f"{inside['data'].where}: the file lies in {data}, so data can name no other folder"
            )
        below = {**below, **inside}
    return _build({**below, **above}, default_data)


def flag(text: str) -> tuple[str, Given]:
    """One `--set KEY=VALUE`; ConfigurationError when there is no such key."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"--set {conversion.shown(text)}: write KEY=VALUE, as in --set log.format=json")
    if key not in FIELDS:
        raise ConfigurationError(f"--set {conversion.shown(key)}: {unknown(key)}")
    return key, Given(value, f"--set {key}", is_text=True)


def from_file(path: Path) -> dict[str, Given]:
    """What a file says, by key."""
    text, table = tomltext.load(path)
    found: dict[str, Given] = {}
    for name, value in table.items():
        if name not in SECTIONS:
            found[name] = value
        elif isinstance(value, dict):
            found.update({f"{name}.{inner}": item for inner, item in value.items()})
        else:
            raise ConfigurationError(f"{path}: {name} is a section: write [{name}], and its keys below")
    given: dict[str, Given] = {}
    for key, value in found.items():
        where = f"{path}, line {tomltext.line_of(text, key)}"
        if key not in FIELDS:
            raise ConfigurationError(f"{where}: {unknown(key)}")
        given[key] = Given(value, where, is_text=False, folder=path.absolute().parent)
    return given


def unknown(key: str) -> str:
    """That there is no such key, and which there are."""
    section, _, name = key.rpartition(".")
    inside = sorted(each.rpartition(".")[2] for each in FIELDS if each.rpartition(".")[0] == section)
    if section and not inside:
        return f"there is no section {conversion.shown(section)}; sections are {', '.join(SECTIONS)}"
    sections = "" if section else f"; sections are {', '.join(SECTIONS)}"
    place = f"[{section}] has" if section else "keys are"
    return f"there is no setting {conversion.shown(name)}; {place} {', '.join(inside)}{sections}"


def _from_environment(env: Mapping[str, str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for variable in sorted(env):
        if not variable.startswith(PREFIX) or variable in OTHERS or not env[variable].strip():
            continue
        key = VARIABLES.get(variable)
        if key is None:
            raise ConfigurationError(
                f"the variable {variable} is no setting's; their names are {PREFIX} and a key in capitals, "
                "`plexus serve --show-config` lists the keys"
            )
        found[key] = Given(env[variable].strip(), variable, is_text=True)
    return found


def _data_of(given: Mapping[str, Given], default: Path) -> Path:
    value = given.get("data")
    path: Path = default if value is None else _converted("data", value)
    return path


def _build(given: Mapping[str, Given], default_data: Path) -> Configuration:
    values = {key: _converted(key, value) for key, value in given.items()}
    sections = {name: _section(name, made, values, given) for name, made in SECTIONS.items()}
    plain = {key: value for key, value in values.items() if "." not in key}
    place = Place(**{"data": default_data, **{key: plain[key] for key in plain if key in _PLACE}})
    settings = Settings(**{key: plain[key] for key in plain if key not in _PLACE}, **sections)
    origins = {key: given[key].where if key in given else "default" for key in FIELDS}
    return Configuration(place, settings, origins)


def _section(name: str, made: type, values: Mapping[str, Any], given: Mapping[str, Given]) -> Any:
    inside = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
    try:
        return made(**inside)
    except ValueError as exc:
        places: Sequence[str] = sorted({given[f"{name}.{key}"].where for key in inside})
        raise ConfigurationError(f"{' and '.join(places)}: {exc}") from exc


def _converted(key: str, given: Given) -> Any:
    try:
        value = conversion.convert(TYPES[key], given.value, is_text=given.is_text, folder=given.folder)
        validator = FIELDS[key].validator
        if validator is not None:
            validator(None, FIELDS[key], value)
    except ValueError as exc:
        raise ConfigurationError(f"{given.where}: {key}: {exc}") from exc
    return value
