"""A device: a simulated motor that sends ten times a second, and takes a command for its speed. Ctrl-C ends it.

Needs a gateway (`plexus serve`) and what it prints:  export PLEXUS_URL=…  export PLEXUS_API_KEY=…
"""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from typing import Any

from plexus import Plexus

STEP_S = 0.1
HOT_C = 60.0


class Motor:
    """Turns faster or slower until it has the speed it is told, and warms up with it."""

    def __init__(self) -> None:
        self.target_rpm = 3000.0
        self.rpm = 0.0
        self.celsius = 22.0

    def step(self) -> None:
        self.rpm += 0.1 * (self.target_rpm - self.rpm) + random.gauss(0.0, 5.0)
        self.celsius += 0.01 * (22.0 + self.rpm / 60.0 - self.celsius)

    def set_speed(self, _name: str, params: dict[str, Any]) -> dict[str, float]:
        self.target_rpm = float(params["rpm"])
        return {"target_rpm": self.target_rpm}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A simulated motor.")
    parser.add_argument("--source", default="motor-01")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end by itself after so long")
    options = parser.parse_args(arguments)
    end = time.monotonic() + options.seconds
    motor, was_hot = Motor(), False
    with contextlib.suppress(KeyboardInterrupt), Plexus(source_id=options.source) as px:
        px.on_command("set_speed", motor.set_speed, description="Turn at params['rpm']")
        while time.monotonic() < end:
            motor.step()
            px.send("motor.rpm", motor.rpm)
            px.send("motor.temperature", motor.celsius, tags={"unit": "celsius"})
            if (is_hot := motor.celsius > HOT_C) != was_hot:
                px.event("motor.hot" if is_hot else "motor.cool", {"celsius": round(motor.celsius, 1)})
                was_hot = is_hot
            time.sleep(STEP_S)


if __name__ == "__main__":
    main()
