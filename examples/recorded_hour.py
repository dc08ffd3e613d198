"""An hour of a motor on a test bench, as its logger recorded it: sent at once, with the times of the recording.

Its last ten minutes are a run with pass criteria. `hour.ipynb` beside this file reads it all. Needs a gateway
(`plexus serve`) and what it prints:  export PLEXUS_URL=…  export PLEXUS_API_KEY=…
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable

from plexus import Plexus

HOUR_S, RUN_S = 3600, 600
CRITERIA = [
    {"metric": "motor.temperature", "operator": "<", "value": 75, "label": "stays cool"},
    {"metric": "motor.rpm", "operator": ">=", "value": 2900, "label": "keeps its speed"},
]


def send(px: Plexus, begin: float, seconds: Iterable[int]) -> None:
    """One reading of each metric a second: the motor warms up to 72 °C, and its speed swings a little."""
    for second in seconds:
        px.send("motor.rpm", round(3000 + 60 * math.sin(second / 40)), timestamp=begin + second)
        celsius = round(22 + 50 * (1 - math.exp(-second / 900)), 2)
        px.send("motor.temperature", celsius, timestamp=begin + second, tags={"unit": "celsius"})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="An hour of a motor, as it was recorded.")
    parser.add_argument("--source", default="bench-01")
    options = parser.parse_args(arguments)
    begin = time.time() - HOUR_S
    with Plexus(source_id=options.source) as px:
        send(px, begin, range(HOUR_S - RUN_S))
        with px.run("full-speed", started_at=begin + HOUR_S - RUN_S, pass_criteria=CRITERIA) as run:
            send(px, begin, range(HOUR_S - RUN_S, HOUR_S))
            if not px.flush(timeout=60):
                raise SystemExit(f"{px.buffer_size()} readings were not delivered: {px.stats()}")
        if not run.wait(30):
            raise SystemExit("the run was not closed in time; the client goes on trying when it runs again")
    print(f"{options.source} has an hour of readings, and a run in it: {run.name}")


if __name__ == "__main__":
    main()
