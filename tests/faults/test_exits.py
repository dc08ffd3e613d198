"""Every way out of a program: what was sent more than X ago is stored in the end, and mostly all of it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from plexus.gateway import Gateway
from tests.faults.programs import begin, drain, once, stored
from tests.faults.proxy import Proxy
from tests.support.gateway import gateway

__all__ = ["gateway"]

SENDING = """
import os, signal, sys, threading, time
from plexus import Plexus

# A shell that starts the tests in the background has SIGINT ignored, which children inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
px = Plexus(source_id="drone-01", timeout=5.0)
for index in range(50):
    px.send("m", index)
{then}
"""
READY = 'print("ready", flush=True)\n'


@pytest.fixture
def network(gateway: Gateway) -> Iterator[Proxy]:
    """What lies between the program and the gateway, down at first."""
    with Proxy(int(gateway.url.rpartition(":")[2])) as made:
        made.be("down")
        yield made


def ended(program: str, network: Proxy, number: int | None = None) -> tuple[int, float]:
    """Run it, send it a signal once it is ready where one is given; its exit code and the seconds to its end."""
    process = begin(program, network.ws_url)
    assert process.stdout is not None
    if number is not None:
        assert process.stdout.readline() == "ready\n", process.communicate()
        process.send_signal(number)
    began = time.monotonic()
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, time.monotonic() - began


def delivered_by_the_next_start(gateway: Gateway, network: Proxy) -> object:
    network.be("open")
    drain(network.ws_url)
    return stored(gateway)["m"]


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('the program failed')", 1),
        ("raise KeyboardInterrupt", 1),
        ("threading.Thread(target=px.send, args=('m', 50)).start()", 0),
    ],
)
def test_a_program_that_ends_by_itself_leaves_nothing_behind(
    gateway: Gateway, network: Proxy, then: str, code: int
) -> None:
    assert ended(SENDING.format(then=then), network)[0] == code
    sent = range(51) if "Thread" in then else range(50)
    assert delivered_by_the_next_start(gateway, network) == once(*sent)


def test_a_program_that_nobody_can_stop_from_ending_loses_nothing_older_than_x(
    gateway: Gateway, network: Proxy
) -> None:
    # The promise is 250 ms and a flush; a busy machine gets a second.
    assert ended(SENDING.format(then="time.sleep(1.25); os._exit(4)"), network)[0] == 4
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_after_a_durable_flush_nothing_is_lost_however_the_program_ends(gateway: Gateway, network: Proxy) -> None:
    then = "assert px.flush(20.0, durable=True); os.kill(os.getpid(), signal.SIGKILL)"
    assert ended(SENDING.format(then=then), network)[0] == -signal.SIGKILL
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


# --- signals ------------------------------------------------------------------------------------------------

WAITING = SENDING.format(then=READY + "while True:\n    time.sleep(0.01)\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_ends_the_program_leaves_nothing_behind(
    gateway: Gateway, network: Proxy, number: signal.Signals
) -> None:
    code, _seconds = ended(WAITING, network, number)
    # Python itself turns Ctrl-C into an exception, and the exit code of one.
    assert code == (-number if number == signal.SIGTERM else 1)
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_sigterm_ends_the_program_in_two_seconds_on_a_network_that_swallows_everything(
    gateway: Gateway, network: Proxy
) -> None:
    network.be("silent")
    code, seconds = ended(WAITING, network, signal.SIGTERM)
    # Two to deliver in, and what a busy machine needs for a flush and for taking a process down.
    assert (code, seconds < 4.0) == (-signal.SIGTERM, True), seconds
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_sigterm_in_the_middle_of_a_patient_close_shortens_it(gateway: Gateway, network: Proxy) -> None:
    network.be("silent")
    code, seconds = ended(SENDING.format(then=READY + "px.close(60.0)"), network, signal.SIGTERM)
    assert (code, seconds < 5.0) == (-signal.SIGTERM, True), seconds
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_sigterm_finds_a_program_that_sends_without_a_pause(gateway: Gateway, network: Proxy) -> None:
    # Only while there is room: on a machine where the signal takes its time, the oldest readings would make room.
    then = READY + "while True:\n    if px.buffer_size() < 9_000:\n        px.send('busy', 1)\n"
    assert ended(SENDING.format(then=then), network, signal.SIGTERM)[0] == -signal.SIGTERM
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_a_handler_of_the_programs_own_is_left_alone_and_ends_it_in_good_order(
    gateway: Gateway, network: Proxy
) -> None:
    program = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n" + WAITING
    assert ended(program, network, signal.SIGTERM)[0] == 5
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_a_handler_that_the_program_installs_later_wins(gateway: Gateway, network: Proxy) -> None:
    then = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(6))\n" + READY + "while True:\n    time.sleep(0.01)\n"
    assert ended(SENDING.format(then=then), network, signal.SIGTERM)[0] == 6
    assert delivered_by_the_next_start(gateway, network) == once(*range(50))


def test_all_clients_of_a_program_end_together_in_the_time_of_one(network: Proxy) -> None:
    network.be("silent")
    then = "others = [Plexus(source_id=f'drone-1{n}') for n in range(5)]\n[o.send('m', 1) for o in others]\n" + READY
    _code, seconds = ended(SENDING.format(then=then), network)
    assert seconds < 7.0
