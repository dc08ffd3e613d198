"""A reader: what is there, what it was in the last five minutes, and then every reading as it comes. Ctrl-C ends it.

Needs a gateway (`plexus serve`), something that sends (`python examples/device.py`), and in the environment what the
gateway printed:  export PLEXUS_URL=…  export PLEXUS_API_KEY=…
"""

from __future__ import annotations

import argparse
import contextlib
from itertools import islice

from plexus import BucketSeries, PlexusAPI


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Show what a source measures.")
    parser.add_argument("--source", default="motor-01")
    parser.add_argument("--metric", default="motor.rpm")
    parser.add_argument("--points", type=int, help="end after so many live readings")
    options = parser.parse_args(arguments)
    with contextlib.suppress(KeyboardInterrupt), PlexusAPI() as api:
        for source in api.sources.list():
            print(f"{source.source_id}: {'online' if source.online else 'offline'}")
        for metric, value in sorted(api.metrics.latest(options.source).items()):
            print(f"{metric} = {value}")

        history = api.metrics.query(options.source, options.metric, last="5m", interval="1m")
        buckets = history[options.metric]
        assert isinstance(buckets, BucketSeries)  # what an interval other than raw is answered with
        for start, mean, count in zip(buckets.timestamp_ms, buckets.avg, buckets.count, strict=True):
            print(f"minute {start:.0f}: mean {mean} of {count}")

        with api.metrics.stream(options.source, options.metric) as stream:
            for point in islice(stream, options.points):
                print(f"{point.timestamp_ms:.0f}  {point.metric}  {point.value}")


if __name__ == "__main__":
    main()
