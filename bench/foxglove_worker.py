"""What one `Channel.log` of foxglove-sdk costs its caller, with a file of MCAP behind it. Prints one JSON object."""

import json
import sys
import time


def main():
    import foxglove

    order = json.loads(sys.argv[1])
    writer = foxglove.open_mcap(order["file"], allow_overwrite=True)
    channel = foxglove.Channel("/imu", message_encoding="json", schema={"type": "object"})
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
        channel.log({"accel": 0.5})
        spent[index] = clock() - before
    writer.close()
    print(json.dumps({"ns": sorted(spent)}), flush=True)


main()
