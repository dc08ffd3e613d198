"""`plexus serve`: a gateway on this machine."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command, port
from plexus.cli.extra import DEFAULT_PORT, default_data, need_gateway
from plexus.domain.errors import ConfigurationError
from plexus.domain.names import check_bootstrap_key

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands
    from plexus.gateway import Gateway

KEY_VARIABLE = "PLEXUS_BOOTSTRAP_KEY"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

TEXT = f"""\
It prints two lines that a device or a reader needs in its environment. A key is made at the first start and shown
that once; more are made with `plexus keys create`. Or bring the first key yourself: in {KEY_VARIABLE}, or in a file.
Ctrl-C (exit code 130) or SIGTERM (0) ends it in good order.

examples:
  plexus serve
  plexus serve --data ./plexus-data --port 9000
  plexus serve --host 0.0.0.0                  for the network; put something that speaks TLS in front
  plexus serve --bootstrap-key-file ./first.key
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "serve", run, "run a gateway on this machine", TEXT)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=port, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}; 0 picks a free one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where to keep data (default: ~/.plexus/gateway)")
    parser.add_argument("--bootstrap-key-file", type=Path, metavar="FILE", help="take the first key from this file")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    need_gateway()
    from plexus.gateway import Gateway

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    data = (arguments.data or default_data()).expanduser()
    gateway = Gateway(
        data, host=arguments.host, port=arguments.port, bootstrap_key=bootstrap_key(arguments.bootstrap_key_file)
    )
    gateway.open()
    _introduce(gateway, data)
    ended_by = gateway.serve_forever()
    return 130 if ended_by == signal.SIGINT else 0


def bootstrap_key(file: Path | None) -> str | None:
    """The first key that the caller brings, None for none; raises ConfigurationError for one that cannot be."""
    if file is not None:
        return check_bootstrap_key(_text_of(file.expanduser()), str(file))
    # Taken out of the environment, so that nothing that is started from here inherits it.
    key = os.environ.pop(KEY_VARIABLE, "").strip()
    return check_bootstrap_key(key, KEY_VARIABLE) if key else None


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as exc:
        raise ConfigurationError(
            f"the file of --bootstrap-key-file, {file}, cannot be read: {exc.strerror or exc}"
        ) from exc


def _introduce(gateway: Gateway, data: Path) -> None:
    output.line(f"# Plexus gateway on {gateway.url}, data in {data.resolve()}; Ctrl-C ends it")
    output.line(f"export PLEXUS_URL={gateway.url}")
    if gateway.first_key is not None:
        output.line(f"export PLEXUS_API_KEY={gateway.first_key}")
        output.line("# the key is shown this once: keep it")
    else:
        output.line(
            f"# PLEXUS_API_KEY: the key that you have, or: plexus keys create NAME --data {shlex.quote(str(data))}"
        )
    if gateway.host not in LOOPBACK:
        output.line("# on other machines: this machine's name instead of 127.0.0.1, and https through a proxy with TLS")
