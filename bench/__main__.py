"""Run the benchmarks and write their tables: `python -m bench [NAME…] [--runs N]`; all of them write the docs' page."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from bench import databases, delivered, history, live, loads, outage, reader, send_cost, spool, streams, weight, wire
from bench.figures import RUNS, machine
from bench.house import House, gateway

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "benchmarks.md"
BENCHMARKS: dict[str, tuple[str, Callable[[House, Path, int], str]]] = {
    "send-cost": ("What `send()` costs the caller", send_cost.run),
    "delivered": ("From `send()` to stored", delivered.run),
    "wire": ("What goes over the socket", wire.run),
    "outage": ("Without a gateway", outage.run),
    "weight": ("What a client weighs that has nothing to do", weight.run),
    "spool": ("The spool on disk", spool.run),
    "databases": ("The gateway beside databases", databases.run),
    "loads": ("What the gateway takes", loads.run),
    "live": ("Live streams", live.run),
    "streams": ("What a reader's stream takes", streams.run),
    "history": ("Questions over what is sealed", history.run),
    "reader": ("What a reader waits for", reader.run),
}


def main() -> None:
    """Measure what was asked for; a full run writes the page of the docs."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which to run (default: all)")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each; the table shows their median")
    options = parser.parse_args()
    names = options.names or list(BENCHMARKS)
    parts = [_one(name, options.runs) for name in names]
    if len(names) == len(BENCHMARKS) and options.runs >= RUNS:
        PAGE.write_text(_page(parts, options.runs))


def _one(name: str, runs: int) -> str:
    title, run = BENCHMARKS[name]
    with tempfile.TemporaryDirectory() as folder, gateway(Path(folder)) as house:
        part = f"## {title}\n\n{run(house, Path(folder), runs)}\n"
    print(part, flush=True)
    return part


def _page(parts: list[str], runs: int) -> str:
    day = datetime.now(timezone.utc).date().isoformat()
    head = (
        "# Benchmarks\n\n"
        f"Written by `make bench` on {day}: medians of {runs} runs; {machine()}.\n"
        "The gateway has one core (`plexus serve`, embedded store, fsync before each acknowledgement), the client\n"
        "the other. The peer is plexus-python 0.16.0 against the same gateway in the same run, in its best documented\n"
        "mode (`px.batch()`, acknowledgements on); what was sent is read back over REST and must be equal.\n\n"
    )
    return head + "\n".join(parts)


main()
