"""What systemd is told (sd_notify(3)), and the unit file that `plexus serve --print-unit` prints."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

STATE_ROOT = Path("/var/lib")
HOMES = (Path("/home"), Path("/root"))

logger = logging.getLogger("plexus.gateway")


class Notifier:
    """Tells systemd what the service does; says nothing where there is no systemd to hear it."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        address = env.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte with which the name of an abstract socket begins.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog(env)

    def ready(self) -> None:
        """It serves."""
        self._say("READY=1")

    def stopping(self) -> None:
        """It begins to shut down."""
        self._say("STOPPING=1")

    def reloading(self) -> None:
        """It reads its keys, certificates and log level again; `ready` says that it is done."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """The event loop turns."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as sock:
                sock.setblocking(False)  # noqa: FBT003 - the only way to call it
                sock.sendto(text.encode(), self._address)
        except OSError as exc:
            logger.warning("systemd does not hear %s: %s", text.partition("=")[0], exc.strerror or exc)


def _watchdog(env: Mapping[str, str]) -> float | None:
    """How often systemd wants to hear that we are alive, seconds; None when it does not."""
    text = env.get("WATCHDOG_USEC", "")
    if not text.isdigit() or int(text) == 0 or env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) / 1e6


@attrs.frozen
class Unit:
    """A service: the program, its arguments after `serve`, and the paths that it needs.

    Attributes:
        program: the `plexus` to run.
        data: where the gateway keeps its data.
        arguments: what stands behind `serve --data DATA`.
        key_file: a bootstrap key's file, which systemd reads as root and hands over.
        files: other files that it reads (configuration, certificate and its key).
    """

    program: Path
    data: Path
    arguments: tuple[str, ...] = ()
    key_file: Path | None = None
    files: tuple[Path, ...] = ()

    def text(self) -> str:
        """The unit file."""
        return TEMPLATE.format(
            start=" ".join(map(_quoted, self._words())), directory=self._directory(), key=self._key(), home=self._home()
        )

    def _words(self) -> list[str]:
        words = [str(self.program), "serve", "--data", str(self.data), *self.arguments]
        return words if self.key_file is None else [*words, "--bootstrap-key-file", "%d/first.key"]

    def _directory(self) -> str:
        if self.data.is_relative_to(STATE_ROOT) and self.data != STATE_ROOT:
            return f"StateDirectory={_quoted(str(self.data.relative_to(STATE_ROOT)))}\nStateDirectoryMode=0700"
        return f"# Make it for the user plexus first: install -d -o plexus -g plexus -m 0700 {self.data}\n" + (
            f"ReadWritePaths={_quoted(str(self.data))}"
        )

    def _key(self) -> str:
        return "" if self.key_file is None else f"LoadCredential=first.key:{self.key_file}\n"

    def _home(self) -> str:
        inside = [path for path in (self.program, *self.files) if any(path.is_relative_to(home) for home in HOMES)]
        if any(self.data.is_relative_to(home) for home in HOMES):
            return "no"
        return "read-only" if inside else "yes"


def _quoted(word: str) -> str:
    """A word as systemd reads it: % and $ are its own, but for the %d of credentials."""
    text = word if word.startswith("%d/") else word.replace("%", "%%")
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if not text or any(char.isspace() or char in "\"'\\;" for char in text) else text


TEMPLATE = """\
# /etc/systemd/system/plexus-gateway.service, as `plexus serve --print-unit` prints it

[Unit]
Description=Plexus gateway
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
Type=notify
ExecStart={start}
ExecReload=/bin/kill -HUP $MAINPID
User=plexus
Group=plexus
{directory}
{key}UMask=0077
Restart=always
RestartSec=1
TimeoutStartSec=60
TimeoutStopSec=15
WatchdogSec=30
LimitNOFILE=65536

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""
