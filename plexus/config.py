"""Where each setting comes from: the argument, then the environment, then the config file, then the default.

    settings = load_settings(source_id="drone-01")
    key = require_key(settings)

How the four addresses follow from one another is told in `plexus.adapters.settings.addresses`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.settings.addresses import HOSTS, resolve, shows_the_key
from plexus.adapters.settings.choices import Choice, first
from plexus.adapters.settings.file import SettingsFile
from plexus.adapters.settings.hardware import hardware_id, is_another_machine
from plexus.domain.errors import ConfigurationError
from plexus.domain.names import KEY_PREFIX, check_source_id, is_gateway_source_id

log = logging.getLogger("plexus")

FILE_FIELDS = frozenset(
    {
        "api_key",
        "source_id",
        "install_id",
        "endpoint",
        "gateway_url",
        "gateway_ws_url",
        "api_url",
        "persistent_buffer",
    }
)
"""What `save_settings` writes; other fields of the file are left alone."""

HARDWARE, COPIED = "hardware_id", "copied"
"""Fields of the file that nobody sets: the machine it is on, and that it came from another one."""

_ENVIRONMENT: Mapping[str, str] = {
    "gateway_url": "PLEXUS_GATEWAY_URL",
    "gateway_ws_url": "PLEXUS_GATEWAY_WS_URL",
    "app_url": "PLEXUS_ENDPOINT",
    "api_url": "PLEXUS_API_URL",
}
_FILE: Mapping[str, str] = {
    "gateway_url": "gateway_url",
    "gateway_ws_url": "gateway_ws_url",
    "app_url": "endpoint",
    "api_url": "api_url",
}
_ARGUMENT: Mapping[str, str] = {
    "gateway_url": "gateway_url",
    "gateway_ws_url": "ws_url",
    "app_url": "endpoint",
    "api_url": "api_url",
}
_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@attrs.frozen
class Settings:
    """What is in force.

    Attributes:
        api_key: None while there is none; never shown.
        source_id, install_id: None until there is one; see `ensure_source_id`, `ensure_install_id`.
        gateway_url, app_url, api_url: addresses with http or https; gateway_ws_url: with ws or wss.
        persistent_buffer: whether points wait on disk.
        home: Plexus's own directory.
        allow_plaintext: whether the key may travel unencrypted to other machines.
        origins: where each of these came from, in words.

    Raises ConfigurationError for an address that would carry the key unencrypted to another machine.
    """

    api_key: str | None = attrs.field(repr=False)
    source_id: str | None
    install_id: str | None
    gateway_url: str
    gateway_ws_url: str
    app_url: str
    api_url: str
    persistent_buffer: bool
    home: Path
    allow_plaintext: bool = False
    origins: Mapping[str, str] = attrs.field(factory=dict, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Refuse an address that would show the key to everybody on the way."""
        for name in () if self.allow_plaintext else HOSTS:
            url = getattr(self, name)
            if shows_the_key(url):
                raise ConfigurationError(
                    f"{name} {url} (from {self.origins.get(name, 'the program')}) would carry the API key unencrypted "
                    f"to another machine: use {'wss' if name == 'gateway_ws_url' else 'https'}://, or set "
                    "PLEXUS_ALLOW_PLAINTEXT=1 if everybody on that network may read the key"
                )


# --- reading ------------------------------------------------------------------------------------------------


def home_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Plexus's own directory: PLEXUS_HOME, else `.plexus` in the user's home."""
    named = (os.environ if environ is None else environ).get("PLEXUS_HOME", "").strip()
    try:
        return Path(named).expanduser().absolute() if named else Path.home() / ".plexus"
    except RuntimeError as exc:
        raise ConfigurationError("this user has no home directory; name a directory in PLEXUS_HOME") from exc


def load_settings(
    *,
    api_key: str | None = None,
    endpoint: str | None = None,
    source_id: str | None = None,
    ws_url: str | None = None,
    gateway_url: str | None = None,
    api_url: str | None = None,
    persistent_buffer: bool | None = None,
    allow_plaintext: bool | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Gather the settings. `endpoint` is the app's address, `ws_url` the gateway's socket.

    Raises ConfigurationError for a setting that cannot be right, naming it and where it came from.
    """
    env = os.environ if environ is None else environ
    file = SettingsFile(home_directory(env))
    found = _Found(file.path, file.read())
    arguments = {"gateway_url": gateway_url, "gateway_ws_url": ws_url, "app_url": endpoint, "api_url": api_url}
    addresses = resolve(
        {name: (value, f"the argument {_ARGUMENT[name]}") for name, value in arguments.items()},
        {name: _variable(env, variable) for name, variable in _ENVIRONMENT.items()},
        _variable(env, "PLEXUS_URL"),
        {name: found.text(field) for name, field in _FILE.items()},
    )
    chosen = {
        "api_key": _key([(api_key, "the argument api_key"), _variable(env, "PLEXUS_API_KEY"), found.text("api_key")]),
        "source_id": _source(source_id, found),
        "install_id": first([_variable(env, "PLEXUS_INSTALL_ID"), found.text("install_id")]),
        **addresses,
        "persistent_buffer": _buffer(persistent_buffer, found),
        "allow_plaintext": _plaintext(allow_plaintext, env),
        "home": (file.path.parent, "PLEXUS_HOME" if env.get("PLEXUS_HOME", "").strip() else "the default"),
    }
    values: dict[str, Any] = {name: value for name, (value, _origin) in chosen.items()}
    return Settings(**values, origins={name: origin for name, (_value, origin) in chosen.items()})


def require_key(settings: Settings) -> str:
    """The API key; raises ConfigurationError saying how to get one."""
    if settings.api_key is None:
        raise ConfigurationError(
            "there is no API key: set PLEXUS_API_KEY, pass api_key=, or run `plexus init` to sign in with a browser"
        )
    return settings.api_key


def describe(settings: Settings) -> str:
    """One line a setting: its name, its value (the key masked), and where it came from."""
    names = [field.name for field in attrs.fields(Settings) if field.name != "origins"]
    shown = {name: getattr(settings, name) for name in names}
    shown["api_key"] = None if settings.api_key is None else mask(settings.api_key)
    width = max(map(len, names))
    return "\n".join(
        f"{name:{width}}  {'-' if shown[name] is None else shown[name]}  ({settings.origins.get(name, 'the program')})"
        for name in names
    )


def mask(api_key: str) -> str:
    """A key as it may be shown: enough to tell two apart, nothing to guess from."""
    import hashlib  # it loads OpenSSL, for what only a person asks for

    prefix = KEY_PREFIX if api_key.startswith(KEY_PREFIX) else ""
    return f"{prefix}… (sha256 {hashlib.sha256(api_key.encode()).hexdigest()[:8]})"


# --- keeping ------------------------------------------------------------------------------------------------


def save_settings(home: Path, **values: str | bool | None) -> None:
    """Keep settings in the config file of `home`, beside those that are there; None takes one out.

    Names are those of FILE_FIELDS (`endpoint` is the app's address). Raises ConfigurationError naming the file.
    """
    unknown = values.keys() - FILE_FIELDS
    if unknown:
        raise ConfigurationError(
            f"no settings of the config file: {', '.join(sorted(unknown))}; there are {', '.join(sorted(FILE_FIELDS))}"
        )

    def put(content: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is None:
                content.pop(name, None)
            else:
                content[name] = value

    SettingsFile(home).change(put)


def forget_key(home: Path) -> bool:
    """Take the key out of the config file of `home`; whether there was one."""
    file = SettingsFile(home)
    if "api_key" not in file.read():
        return False
    file.change(lambda content: content.pop("api_key", None))
    return True


def ensure_install_id(settings: Settings) -> str:
    """This installation's id: 32 hex digits, made and kept on first use; PLEXUS_INSTALL_ID wins.

    With it the machine is kept, where that has a name (`plexus.adapters.settings.hardware`). On another machine the
    file is a copy: it gets an id of its own, with a warning, so that the gateway tells the two apart, and `was_copied`
    is True from then on.
    """
    if settings.origins.get("install_id") == "PLEXUS_INSTALL_ID" and settings.install_id:
        return settings.install_id
    here = hardware_id()
    if settings.install_id and here is None:
        return settings.install_id
    made = os.urandom(16).hex()

    def fill(content: dict[str, Any]) -> None:
        kept = content.get("install_id") or settings.install_id
        if kept and is_another_machine(content.get(HARDWARE), here):
            log.warning(
                "%s comes from another machine, a copied or moved card: this one gets an install id of its own, and "
                "the gateway may give it another name; what waits in its spool is sent under the former name",
                settings.home,
            )
            kept, content[COPIED] = None, True
        content["install_id"] = kept or made
        if here is not None:
            content[HARDWARE] = here

    try:
        return str(SettingsFile(settings.home).change(fill)["install_id"])
    except ConfigurationError as exc:
        if settings.install_id and isinstance(exc.__cause__, OSError):
            # A read-only disk, on which an id was kept before.
            return settings.install_id
        return _unkept(exc, "install_id", made)


def was_copied(home: Path) -> bool:
    """Whether what waits in the spools of `home` is of the machine that it was copied from."""
    return SettingsFile(home).read().get(COPIED) is True


def copy_is_settled(home: Path) -> None:
    """What waited is known by its source from now on; raises ConfigurationError naming the file."""
    SettingsFile(home).change(lambda content: content.pop(COPIED, None))


def ensure_source_id(settings: Settings) -> str:
    """This device's name: `source-<8 hex>`, made and kept on first use, where nobody gave it one."""
    return settings.source_id or _made_once(settings.home, "source_id", f"source-{os.urandom(4).hex()}")


def _made_once(home: Path, name: str, made: str) -> str:
    file = SettingsFile(home)

    def fill(content: dict[str, Any]) -> None:
        # Another process may have been first; both then go by the same one.
        content[name] = content.get(name) or made

    try:
        return str(file.change(fill)[name])
    except ConfigurationError as exc:
        return _unkept(exc, name, made)


def _unkept(fault: ConfigurationError, name: str, made: str) -> str:
    """A read-only disk must not keep a device from sending; any other fault is raised."""
    if not isinstance(fault.__cause__, OSError):
        raise fault
    log.warning(
        "%s %s is not kept, so the next start has another one: %s (in a container set PLEXUS_INSTALL_ID and "
        "pass source_id=)",
        name,
        made,
        fault,
    )
    return made


# --- single settings ----------------------------------------------------------------------------------------


@attrs.frozen
class _Found:
    """The config file's content, read with care: people edit it."""

    path: Path
    content: Mapping[str, Any] = attrs.field(repr=False)

    def text(self, name: str) -> Choice:
        value = self.content.get(name)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} in {self.path} must be text, not {type(value).__name__}")
        return value, str(self.path)

    def flag(self, name: str) -> Choice:
        value = self.content.get(name)
        if value is not None and not isinstance(value, bool):
            raise ConfigurationError(f"{name} in {self.path} must be true or false, not {value!r}")
        return value, str(self.path)


def _variable(env: Mapping[str, str], name: str) -> Choice:
    return env.get(name), name


def _key(choices: list[Choice]) -> Choice:
    key, origin = first(choices)
    # Said without the key: whatever is wrong with it, it may still be somebody's secret.
    if key is not None and not isinstance(key, str):
        raise ConfigurationError(f"the API key from {origin} must be text, not {type(key).__name__}")
    if key is not None and (not (key.isascii() and key.isprintable()) or " " in key):
        raise ConfigurationError(
            f"the API key from {origin} holds characters that no key has (a line end, a space, a quote sign of a word "
            "processor): copy it again"
        )
    return key, origin


def _source(argument: str | None, found: _Found) -> Choice:
    if argument is not None:
        return check_source_id(argument), "the argument source_id"
    name, origin = first([found.text("source_id")])
    # By the gateway's rule, not ours: it may have assigned the name, or another release chosen it.
    if name is not None and not is_gateway_source_id(name):
        raise ConfigurationError(f"source_id {name!r} in {found.path} is not valid: correct it or take it out")
    return name, origin


def _buffer(argument: bool | None, found: _Found) -> Choice:
    if argument is not None:
        return argument, "the argument persistent_buffer"
    value, origin = found.flag("persistent_buffer")
    return (value, origin) if value is not None else (True, "the default")


def _plaintext(argument: bool | None, env: Mapping[str, str]) -> Choice:
    if argument is not None:
        return argument, "the argument allow_plaintext"
    name = "PLEXUS_ALLOW_PLAINTEXT"
    text = env.get(name, "").strip().lower()
    if text not in _ON + _OFF:
        raise ConfigurationError(f"{name} must be 1 or 0, not {text!r}")
    return text in _ON, name if name in env else "the default"
