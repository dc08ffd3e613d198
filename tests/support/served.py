"""`plexus serve` as users start it: a process of its own, on a port that stays its own over restarts."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support import plain
from tests.support.waiting import eventually

PLEXUS = Path(sys.executable).with_name("plexus.exe" if sys.platform == "win32" else "plexus")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Served:
    """A gateway process over `folder`, started and stopped at will; its data stays. `settings` are `KEY=VALUE` each."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self._settings = [word for setting in settings for word in ("--set", setting)]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = "plx_" + secrets.token_urlsafe(32)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *wrapper: str) -> Served:
        """Start it (under `wrapper`, such as a tracer) and wait until it answers."""
        foreign = {name for name in os.environ if name.startswith("PLEXUS_")}
        environment = {name: value for name, value in os.environ.items() if name not in foreign}
        environment |= {"PLEXUS_BOOTSTRAP_KEY": self.key, "PLEXUS_HOME": str(self.folder / "home")}
        arguments = ["serve", "--port", str(self.port), "--data", str(self.folder / "data"), *self._settings]
        with (self.folder / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*wrapper, str(PLEXUS), *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self._answers, 30.0, f"the gateway's first answer; it said: {self.said()}")
        return self

    def stop(self) -> int:
        """End it in good order; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self._end(signal.SIGKILL)

    def said(self) -> str:
        """All that it printed."""
        log = self.folder / "serve.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def get(self, path: str, **query: str) -> Any:
        """One answer of the data API; None for a 404."""
        answer = plain.request("GET", self.url + path, params=query, headers=self._headers(), timeout=30)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON and read JSON."""
        answer = plain.request("POST", self.url + path, json=body, headers=self._headers(), timeout=30)
        return answer.raise_for_status().json()

    def values(self, source_id: str, metric: str, last: str = "1h") -> list[Any]:
        """Stored raw values of a metric, in time."""
        answer = self.get(f"/v1/sources/{source_id}/metrics/query", metrics=metric, last=last, interval="raw")
        return [] if answer is None or metric not in answer["series"] else list(answer["series"][metric]["value"])

    def _headers(self) -> dict[str, str]:
        return {"x-api-key": self.key}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended: {self.said()}"
        try:
            return plain.request("GET", self.url + "/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        # The whole group: under a tracer the signal is meant for the gateway.
        os.killpg(process.pid, how)
        return process.wait(timeout=20)
