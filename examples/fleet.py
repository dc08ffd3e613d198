"""A fleet in one process: a gateway on a free port, three devices that send to it, a reader that asks about all.

Needs nothing else running, and leaves nothing behind: python examples/fleet.py
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from plexus import Gateway, Plexus, PlexusAPI
from plexus.adapters.buffer.memory import MemoryBuffer

ROVERS = {"rover-01": 12.6, "rover-02": 11.9, "rover-03": 10.8}
READINGS = 50


def drive(gateway: Gateway, source_id: str, volts: float) -> None:
    """One rover: its battery runs down a little with every reading."""
    with Plexus(api_key=gateway.api_key, ws_url=gateway.ws_url, source_id=source_id, buffer=MemoryBuffer(10_000)) as px:
        for reading in range(READINGS):
            px.send("battery.voltage", volts - 0.01 * reading)
        if not px.flush_buffer():
            raise SystemExit(f"{source_id}: {px.buffer_size()} readings were not delivered: {px.stats()}")


def main() -> None:
    with Gateway() as gateway:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda rover: drive(gateway, *rover), ROVERS.items()))
        with PlexusAPI(gateway.api_key, gateway.url) as api:
            health = api.fleet.health()
            print(f"{health.sources_online} of {health.sources_total} rovers are online")
            for rover in api.fleet.metrics("battery.voltage", last="1h").sources:
                lowest = min(volts for volts in rover.min if volts is not None)
                print(f"{rover.source_id}: lowest {lowest:.2f} V in {sum(rover.count)} readings")


if __name__ == "__main__":
    main()
