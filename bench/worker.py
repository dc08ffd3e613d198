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
    from plexus import Plexus

    px = Plexus(api_key=order["api_key"], source_id=order["source_id"], **order["arguments"])
    opened = px.batch(**order["batch"]) if order["batch"] is not None else contextlib.nullcontext(px)
    with opened as sender:
        # The first reading goes by the connection that everything after it uses.
        sender.send("warm.up", 1.0)
        wait_for_line()
        measure = {"paced": paced, "delivered": delivered, "nothing": paced}[order["measure"]]
        send = (lambda _metric, _value: None) if order["measure"] == "nothing" else sender.send
        result = measure(send, order)
    px.close()
    print(json.dumps(result), flush=True)


def wait_for_line():
    """The parent says when the warm-up has arrived."""
    print("warm", flush=True)
    sys.stdin.readline()


def paced(send, order):
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


def delivered(send, order):
    """Send `count` points as fast as the loop goes; the parent sees when the last is stored. CPU of the process."""
    count = order["count"]
    started, cpu = time.time(), time.process_time()
    for index in range(count):
        send("load.value", index)
    looped = time.time()
    print(json.dumps({"started": started, "looped": looped}), flush=True)
    sys.stdin.readline()
    return {"cpu_s": time.process_time() - cpu}


main()
