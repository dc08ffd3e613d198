"""`plexus serve`: a gateway on this machine."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command, port
from plexus.cli.extra import closed, data_folder, default_data, need_gateway
from plexus.domain.errors import ConfigurationError
from plexus.domain.names import check_bootstrap_key

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.gateway import Gateway
    from plexus.gateway.configuration import Configuration, Given

KEY_VARIABLE = "PLEXUS_BOOTSTRAP_KEY"
KEY_FILE = "first.key"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
SYSTEM_DATA = Path("/var/lib/plexus")

FLAGS = {"host": "host", "port": "port", "data": "data", "tls_cert": "tls.cert", "tls_key": "tls.key"}
"""Options that are a setting's; the others are --set's."""
LOG_FLAGS = {"log_format": "log.format", "log_level": "log.level"}

TEXT = f"""\
It prints two lines that a device or a reader needs in its environment. A key is made at the first start and shown
that once; more are made with `plexus keys create`. Or bring the first key yourself: in {KEY_VARIABLE}, or in a file.
Ctrl-C (exit code 130) or SIGTERM (0) ends it in good order; SIGHUP reads keys, certificate and log level again.

A setting is taken from the option, else from PLEXUS_GATEWAY_ and its name in capitals, else from DATA/gateway.toml,
else from /etc/plexus/gateway.toml. --show-config lists them all.

examples:
  plexus serve
  plexus serve --data ./plexus-data --port 9000
  plexus serve --host 0.0.0.0 --tls-cert /etc/plexus/cert.pem --tls-key /etc/plexus/key.pem
  plexus serve --set retention.days=400 --set limits.message_points=10000 --show-config
  plexus serve --data /var/lib/plexus --print-unit | sudo tee /etc/systemd/system/plexus-gateway.service
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "serve", run, "run a gateway on this machine", TEXT)
    parser.add_argument("--host", help="where to listen (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=port, help="default: 8080; 0 picks a free one")
    parser.add_argument("--data", metavar="DIR", help="where to keep data (default: ~/.plexus/gateway)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="read this configuration file and no other")
    parser.add_argument("--tls-cert", metavar="FILE", help="serve https and wss with this certificate (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="the certificate's private key (PEM)")
    parser.add_argument("--log-format", choices=("text", "json"), help="what the log on stderr looks like")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="the least that is logged")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting, repeatable")
    parser.add_argument("--bootstrap-key-file", type=Path, metavar="FILE", help="take the first key from this file")
    parser.add_argument(
        "--show-config", action="store_true", help="print every setting and where it comes from, and end"
    )
    parser.add_argument("--print-unit", action="store_true", help="print a systemd unit for these options, and end")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    need_gateway()
    from plexus.gateway import Gateway, logs

    if arguments.print_unit:
        return _print_unit(arguments)
    found = configuration(arguments)
    if arguments.show_config:
        output.line(found.to_toml().rstrip())
        return 0
    place = found.place
    key = bootstrap_key(arguments.bootstrap_key_file)
    gateway = Gateway(place.data, host=place.host, port=place.port, bootstrap_key=key, settings=found.settings)
    with logs.written(found.settings.log):
        gateway.open()
        _introduce(gateway, place.data)
        ended_by = gateway.serve_forever(lambda: configuration(arguments).settings)
    return 130 if ended_by == signal.SIGINT else 0


def configuration(arguments: argparse.Namespace) -> Configuration:
    """All settings, of the options, the environment and the files; raises ConfigurationError."""
    from plexus.gateway.configuration import read

    try:
        found = read(_flags(arguments), default_data=default_data(), file=arguments.config)
    except PermissionError as exc:
        raise closed(Path(exc.filename).parent) from exc
    # From Python 3.14 a gateway.toml that may not be looked for is as good as none: what is shown would be wrong.
    data_folder(found.place.data)
    return found


def bootstrap_key(file: Path | None) -> str | None:
    """The first key that the caller brings, None for none; raises ConfigurationError for one that cannot be."""
    if file is not None:
        return check_bootstrap_key(_text_of(file.expanduser()), str(file))
    # Taken out of the environment, so that nothing that is started from here inherits it.
    key = os.environ.pop(KEY_VARIABLE, "").strip()
    return check_bootstrap_key(key, KEY_VARIABLE) if key else None


def _flags(arguments: argparse.Namespace) -> dict[str, Given]:
    from plexus.gateway.configuration import Given, flag

    given = dict(map(flag, arguments.set))
    for name, key in (FLAGS | LOG_FLAGS).items():
        value = getattr(arguments, name)
        if value is not None:
            given[key] = Given(str(value), f"--{name.replace('_', '-')}", is_text=True)
    return given


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as exc:
        raise ConfigurationError(
            f"the file of --bootstrap-key-file, {file}, cannot be read: {exc.strerror or exc}"
        ) from exc


def _print_unit(arguments: argparse.Namespace) -> int:
    from plexus.gateway.systemd import Unit

    words: list[str] = []
    files: list[Path] = []
    for name in ("config", *FLAGS, *LOG_FLAGS):
        value = getattr(arguments, name)
        if value is None or name == "data":
            continue
        if name in ("config", "tls_cert", "tls_key"):
            value = Path(value).expanduser().absolute()
            files.append(value)
        words += [f"--{name.replace('_', '-')}", str(value)]
    for text in arguments.set:
        words += ["--set", text]
    _flags(arguments)  # a setting that is none is said now, not by the service
    key_file = arguments.bootstrap_key_file
    unit = Unit(
        program=_program(),
        data=Path(arguments.data).expanduser().absolute() if arguments.data else SYSTEM_DATA,
        arguments=tuple(words),
        key_file=None if key_file is None else key_file.expanduser().absolute(),
        files=tuple(files),
    )
    output.line(unit.text().rstrip())
    return 0


def _program() -> Path:
    beside = Path(sys.executable).with_name("plexus")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


def _introduce(gateway: Gateway, data: Path) -> None:
    output.line(f"# Plexus gateway on {gateway.url}, data in {data.resolve()}; Ctrl-C ends it")
    output.line(f"export PLEXUS_URL={gateway.url}")
    if gateway.first_key is None:
        output.line(
            f"# PLEXUS_API_KEY: the key that you have, or: plexus keys create NAME --data {shlex.quote(str(data))}"
        )
    elif _goes_to_the_journal():
        file = _keep(gateway.first_key, data)
        output.line(f"# the first key lies in {file}, for a log is no place for it; take it from there and remove it")
    else:
        output.line(f"export PLEXUS_API_KEY={gateway.first_key}")
        output.line("# the key is shown this once: keep it")
    if gateway.host not in LOOPBACK and gateway.settings.tls.cert is None:
        output.line("# on other machines: this machine's name instead of 127.0.0.1, and https through a proxy with TLS")


def _goes_to_the_journal() -> bool:
    """Whether systemd keeps what is written to stdout (JOURNAL_STREAM in systemd.exec(5))."""
    told = os.environ.get("JOURNAL_STREAM", "")
    try:
        here = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return told == f"{here.st_dev}:{here.st_ino}"


def _keep(key: str, data: Path) -> Path:
    from plexus.adapters.privatefile import make_private_file

    file = data / KEY_FILE
    make_private_file(file)
    file.write_text(f"{key}\n", encoding="utf-8")
    return file
