"""Runs inside the virtual environment of a released plexus-python: does what standard input says, a JSON line each.

It knows the released package by its documented surface only, and has nothing of this project in it.
"""

import json
import sys
import threading

from plexus import Plexus

try:
    from plexus import PlexusError
except ImportError:  # 0.5.2 keeps it with its client
    from plexus.client import PlexusError


class Driver:
    """Every public method is an order; its keyword arguments are the order's details, its result the answer."""

    def __init__(self, arguments):
        self._px = Plexus(**arguments)
        self._told = []
        self._heard = threading.Event()
        self._px.on_command("say", self._say, description="Say something")

    def _say(self, name, params):
        self._told.append({"name": name, "params": params})
        self._heard.set()
        return {"said": params.get("text")}

    def send(self, metric, first, count, base):
        """Returns how many calls raised: a released client raises when it has put a point into its own buffer."""
        raised = 0
        for index in range(first, first + count):
            try:
                self._px.send(metric, index, timestamp=base + index / 1000.0, tags={"part": "motor"})
            except PlexusError:
                raised += 1
        return raised

    def batch(self, points, timestamp):
        self._px.send_batch([(name, value) for name, value in points], timestamp=timestamp)

    def event(self, name, data, timestamp):
        self._px.event(name, data, timestamp=timestamp)

    def run(self, name, timestamp):
        with self._px.run(name):
            self._px.send("run.metric", 1.5, timestamp=timestamp)

    def has(self, name):
        return hasattr(self._px, name)

    def told(self, timeout):
        self._heard.wait(timeout)
        return self._told

    def buffered(self):
        return self._px.buffer_size()

    def flush(self):
        return bool(self._px.flush_buffer())

    def close(self):
        self._px.close()


def main():
    driver = Driver(**json.loads(sys.stdin.readline()))
    answer(None)
    for line in sys.stdin:
        order = json.loads(line)
        answer(getattr(driver, order.pop("do"))(**order))


def answer(value):
    sys.stdout.write(json.dumps({"answer": value}) + "\n")
    sys.stdout.flush()


main()
