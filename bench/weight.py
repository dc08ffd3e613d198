"""What a client weighs that has nothing to do: time to import and build, memory, wake-ups. Ours beside both releases.

Each figure is of a fresh interpreter with nothing but the client in it, connected, after one reading was delivered;
and once more with no gateway to be reached. What the bare interpreter needs is in the memory, and not in the time.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import attrs

from bench.figures import RUNS, median, table
from bench.house import CLIENT_CORE, ROOT, House, pinned
from tests.peers.released import install

RELEASES = ("0.16.0", "0.5.2")
SETTLE_S = 3.0
WATCH_S = 10.0

_PROGRAM = """
import json, os, sys, time
order = json.loads(sys.argv[1])
started = time.perf_counter()
from plexus import Plexus
px = Plexus(api_key=order["api_key"], source_id=order["source_id"])
built_ms = (time.perf_counter() - started) * 1e3
if order["send"]:
    try:
        px.send("idle.since", 1.0)
    except Exception:
        pass  # 0.5.2 and 0.16.0 raise where there is no gateway

def wakes():
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/status") as status:
                count += sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt"))
        except OSError:
            pass  # a thread that ended meanwhile
    return count

def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

time.sleep(order["settle_s"])
before = wakes()
time.sleep(order["watch_s"])
after = wakes()
# One is this thread's own, at the end of its sleep.
wakes_a_second = (after - before - 1) / order["watch_s"]
print(json.dumps({"built_ms": built_ms, "mib": resident_kib() / 1024, "wakes": wakes_a_second}))
sys.stdout.flush()
os._exit(0)
"""


@attrs.frozen
class Weight:
    """One client's: milliseconds to import and build, resident MiB, and wake-ups a second of all its threads."""

    built_ms: float
    resident_mib: float
    wakes_a_second: float


def weigh(
    python: Path, house_url: str, key: str, home: Path, source_id: str, *, watch_s: float = WATCH_S, send: bool = True
) -> Weight:
    """Weigh the client that `python` has, in a fresh interpreter and in `home`, which is made."""
    home.mkdir(parents=True)
    ws_url = house_url.replace("http", "ws", 1)
    hosts = {"PLEXUS_GATEWAY_URL": house_url, "PLEXUS_GATEWAY_WS_URL": ws_url, "PLEXUS_ENDPOINT": house_url}
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PLEXUS_", "PYTHON"))}
    environment = {**keep, **hosts, "HOME": str(home), "PLEXUS_HOME": str(home / ".plexus"), "PLEXUS_QUIET": "1"}
    order = {"api_key": key, "source_id": source_id, "settle_s": SETTLE_S, "watch_s": watch_s, "send": send}
    command = [*pinned(CLIENT_CORE), str(python), "-c", textwrap.dedent(_PROGRAM), json.dumps(order)]
    ran = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=True)
    said = json.loads(ran.stdout.splitlines()[-1])
    return Weight(said["built_ms"], said["mib"], said["wakes"])


def interpreters(folder: Path) -> dict[str, Path]:
    """Ours and the releases', by name, each in an environment of its own as `pip install` makes it on a device."""
    releases = {f"plexus-python {version}": install(version, folder) for version in RELEASES}
    return {"Plexus (this checkout)": install_checkout(folder), **releases}


def install_checkout(folder: Path) -> Path:
    """A Python that has this checkout without any extra; raises CalledProcessError when it cannot be installed."""
    home = folder / "checkout"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    venv.create(home, with_pip=True, clear=True)
    options = ("--quiet", "--disable-pip-version-check")
    subprocess.run([python, "-m", "pip", "install", *options, str(ROOT)], check=True)
    # As pip leaves it when it installs a wheel: nothing is compiled at the first start.
    subprocess.run([python, "-c", "import plexus.client"], check=True)
    return python


def nowhere() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def run(house: House, folder: Path, runs: int = RUNS) -> str:
    """Measure and return a Markdown table."""
    rows: list[list[str]] = []
    for name, python in interpreters(folder / "peers").items():
        for label, url in (("connected", house.url), ("no gateway", nowhere())):
            taken = []
            for turn in range(runs):
                source_id = f"weight-{len(rows)}-{turn}"
                taken.append(weigh(python, url, house.key, folder / "work" / source_id, source_id))
            rows.append([name, label, *_medians(taken)])
    return table(["client", "", "import and build, ms", "memory, MiB", "wake-ups a second"], rows)


def _medians(taken: list[Weight]) -> list[str]:
    return [
        f"{median([each.built_ms for each in taken]):.0f}",
        f"{median([each.resident_mib for each in taken]):.1f}",
        f"{median([each.wakes_a_second for each in taken]):.1f}",
    ]
