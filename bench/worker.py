"""One measurement inside one client's own Python: ours, or a released plexus-python. Prints one JSON object.

It uses what both have in common, so that the same code measures both; the released one is given its best documented
mode, `px.batch()`. Arguments: one JSON object.
"""

import contextlib
import json
import sys
import time


def main():
    order = json.loads(sys.argv[1])
    px = client(order)
    opened = px.batch(**order["batch"]) if order["batch"] is not None else contextlib.nullcontext(px)
    with opened as sender:
        if order.get("warm", True):
            # The first reading goes by the connection that everything after it uses.
            sender.send("warm.up", 1.0)
        wait_for_line()
        send = (lambda _metric, _value: None) if order["measure"] == "nothing" else sender.send
        result = MEASURES[order["measure"]](send, order, px)
    started = time.perf_counter()
    px.close()
    print(json.dumps({**result, "close_s": time.perf_counter() - started}), flush=True)


def client(order):
    from plexus import Plexus

    arguments = dict(order["arguments"])
    if order.get("codec") == "json":
        from plexus.adapters.codec.json import JsonCodec

        arguments["codec"] = JsonCodec()
    return Plexus(api_key=order["api_key"], source_id=order["source_id"], **arguments)


def wait_for_line():
    """The parent says when the warm-up has arrived."""
    print("warm", flush=True)
    sys.stdin.readline()


def paced(send, order, _px):
    """Nanoseconds of every call: `rate` calls a second (0: one after the other), each timed with two clock readings."""
    count, rate = order["count"], order["rate"]
    clock, spent = time.perf_counter_ns, [0] * count
    step = 0 if rate == 0 else int(1e9 / rate)
    due = clock()
    for index in range(count):
        if step:
            due += step
            wait = (due - clock()) / 1e9
            if wait > 0:
                time.sleep(wait)
        before = clock()
        send("imu.accel", 0.5)
        spent[index] = clock() - before
    return {"ns": sorted(spent)}


def delivered(send, order, _px):
    """Send `count` points as fast as the loop goes; the parent sees when the last is stored. CPU of the process."""
    count = order["count"]
    started, cpu = time.time(), time.process_time()
    for index in range(count):
        send("load.value", index)
    looped = time.time()
    print(json.dumps({"started": started, "looped": looped}), flush=True)
    sys.stdin.readline()
    return {"cpu_s": time.process_time() - cpu}


def steady(send, order, _px):
    """25,000 points a second, 250 at a time, for `count` points; CPU of the process, its sleeping included."""
    count, metrics = order["count"], [f"imu.channel{index}" for index in range(10)]
    cpu, due = time.process_time(), time.perf_counter()
    for start in range(0, count, 250):
        for index in range(start, start + 250):
            send(metrics[index % 10], index * 0.5)
        due += 0.01
        time.sleep(max(0.0, due - time.perf_counter()))
    print(json.dumps({"sent": count}), flush=True)
    sys.stdin.readline()
    return {"cpu_s": time.process_time() - cpu}


def series(_send, order, px):
    """Blocks of 1,000 samples of numpy, as fast as they are taken, until all of them are acknowledged."""
    import numpy

    values = numpy.random.default_rng(7).normal(size=1_000)
    blocks = order["count"] // 1_000
    before = px.stats().delivered
    started, cpu = time.perf_counter(), time.process_time()
    for index in range(blocks):
        px.send_series("vibration.x", None, values, start=1_746_969_660.0 + index * 0.1, rate_hz=10_000.0)
        while px.buffer_size() > 1_000_000:
            time.sleep(0.002)
    while px.stats().delivered - before < blocks * 1_000:
        time.sleep(0.005)
    return {"seconds": time.perf_counter() - started, "cpu_s": time.process_time() - cpu}


def imu(_send, order, px):
    """Six channels at one instant each time, as an IMU is read: counts of a converter times its scale, or decimals."""
    import random

    dice, decimals, count = random.Random(7), order["decimals"], order["count"]
    names = [f"imu.{kind}.{axis}" for kind in ("accel", "gyro") for axis in "xyz"]
    for _ in range(count // 6):
        raw = [dice.gauss(0.0, 40.0) for _ in names]
        if decimals is None:
            values = [round(item) * 9.80665 / 16_384 for item in raw]
        else:
            values = [round(item / 40.0, decimals) for item in raw]
        px.send_batch(zip(names, values, strict=True))
    return {"flushed": px.flush_buffer(60.0)}


def clocked(send, order, _px):
    """`rate` calls a second, each with the time of the call as its value, seconds since 1970."""
    due, step = time.perf_counter(), 1 / order["rate"]
    for _ in range(order["count"]):
        due += step
        time.sleep(max(0.0, due - time.perf_counter()))
        send("clock.sent", time.time())
    return {"sent": order["count"]}


MEASURES = {
    "clocked": clocked,
    "paced": paced,
    "nothing": paced,
    "delivered": delivered,
    "steady": steady,
    "series": series,
    "imu": imu,
}

main()
