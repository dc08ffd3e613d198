"""Runs inside the virtual environment of a released plexus-python: declares typed commands and serves them.

It knows the released package by its documented surface only (`help(Plexus.command)`, `help(Plexus.serve)`), and has
nothing of this project in it. What its handlers were called with goes to standard output, a JSON line each.
"""

import json
import sys
import threading
from typing import Any

from plexus import Plexus


def main() -> None:
    px = Plexus(**json.loads(sys.stdin.readline()))

    @px.command(
        "power_off",
        title="Power off",
        danger="critical",
        idempotent=True,
        expires_in=30,
        params={"outlet": {"type": "integer", "minimum": 1, "maximum": 8}},
    )
    def power_off(run: Any, outlet: int) -> "dict[str, Any]":
        run.progress(100, "done")
        tell({"command": "power_off", "id": run.id, "outlet": outlet})
        return {"outlet": outlet, "state": "off"}

    @px.command("fail")
    def fail(run: Any) -> None:
        raise RuntimeError("no such pump")

    threading.Thread(target=stop_at_the_end_of_input, args=(px,), daemon=True).start()
    tell({"ready": True})
    px.serve()


def stop_at_the_end_of_input(px: Plexus) -> None:
    sys.stdin.read()
    px.stop_serving()


def tell(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


main()
