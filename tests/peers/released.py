"""A released plexus-python as a black box: in an environment and a process of its own, told what to do by lines."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import venv
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("driver.py")


def install(version: str, folder: Path) -> Path:
    """A Python that has this release, made once in `folder`; raises CalledProcessError when it cannot be installed."""
    return environment_with("plexus-python", version, folder)


def environment_with(package: str, version: str, folder: Path) -> Path:
    """The same for any package of the index."""
    home = folder / (version if package == "plexus-python" else f"{package}-{version}")
    if not (home / "installed").exists():
        # Made aside and named when it is whole: another process may be making the same one.
        with tempfile.TemporaryDirectory(
            dir=_existing(folder), prefix=f"{home.name}-", ignore_cleanup_errors=True
        ) as made:
            _install(f"{package}=={version}", Path(made) / "new")
            if home.exists() and not (home / "installed").exists():
                shutil.rmtree(home)  # what a run left that was ended in the middle, before this was done aside
            with contextlib.suppress(OSError):  # the other one was first
                (Path(made) / "new").rename(home)
    return _python(home)


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _install(wanted: str, home: Path) -> None:
    """An environment in `home`, filled by the pip that is here already: to give it one of its own takes seconds."""
    venv.create(home, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(_python(home))]
    subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", wanted], check=True)
    (home / "installed").touch()


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


class Released:
    """One process. Every method waits for the driver's answer."""

    def __init__(self, python: Path, home: Path, gateway_url: str, arguments: dict[str, Any]) -> None:
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("PLEXUS_", "PYTHON"))}
        ws_url = gateway_url.replace("http", "ws", 1)
        hosts = {"PLEXUS_GATEWAY_URL": gateway_url, "PLEXUS_GATEWAY_WS_URL": ws_url, "PLEXUS_ENDPOINT": gateway_url}
        self._log = (home / "stderr.txt").open("wb")
        self._process = subprocess.Popen(
            [python, DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**keep, **hosts, "HOME": str(home), "USERPROFILE": str(home)},
            text=True,
        )
        self.home = home
        # A peer that hangs must fail the test, not the whole run.
        self._watchdog = threading.Timer(100.0, self._process.kill)
        self._watchdog.start()
        try:
            self._ask({"arguments": arguments})
        except BaseException:
            self.end()
            raise

    def do(self, what: str, **details: Any) -> Any:
        """One order, one answer."""
        return self._ask({"do": what, **details})

    def said(self) -> str:
        """What it wrote to its error stream so far."""
        return (self.home / "stderr.txt").read_text(errors="replace")

    def end(self) -> None:
        """End the process, however it is."""
        self._watchdog.cancel()
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the released client ended; it said: {self.said()}"
        return json.loads(line)["answer"]
