"""What the neighbours share: installing a Debian package, a server process on one core, a few plain HTTP requests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.house import GATEWAY_CORE, pinned

READY_S = 60.0


def need(program: str, package: str) -> str:
    """The path of a program, installed when it is not there. A neighbour that cannot be had is a failure, not a gap."""
    found = shutil.which(program)
    if found is None:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", package],
            check=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        found = shutil.which(program)
    if found is None:
        raise RuntimeError(f"{package} was installed and has no {program}")
    return found


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """A server pinned to the gateway's core, its output in a file of `folder`."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self._log = (folder / "output.txt").open("wb")
        self._process = subprocess.Popen(
            [*pinned(GATEWAY_CORE), *command],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when `ready` says so; raises when the process ends or takes too long."""
        end = time.monotonic() + READY_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start; its output is in {self._log.name}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=60)
        self._log.close()


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
