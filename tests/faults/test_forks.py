"""Processes that have a parent, and clients that share a machine: what each sends is stored once, under its source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus.gateway import Gateway
from tests.faults.programs import begin, drain, once, run, stored
from tests.faults.proxy import Proxy
from tests.support.gateway import gateway
from tests.support.waiting import eventually

__all__ = ["gateway"]


@pytest.fixture
def network(gateway: Gateway) -> Iterator[Proxy]:
    """What lies between the programs and the gateway."""
    with Proxy(int(gateway.url.rpartition(":")[2])) as made:
        yield made


MANY_CHILDREN = """
import os
from plexus import Plexus

px = Plexus(source_id="drone-01")
for index in range(50):
    px.send("parent", index)
children = []
for child in range(5):
    pid = os.fork()
    if not pid:
        for index in range(20):
            px.send(f"child{child}", index)
        assert px.flush(20.0)
        px.close()
        os._exit(0)
    children.append(pid)
for index in range(50, 100):
    px.send("parent", index)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 5
assert px.flush(20.0)
px.close()
"""

THROUGH_MULTIPROCESSING = """
import multiprocessing, sys
from plexus import Plexus

def work(number):
    for index in range(20):
        px.send(f"child{number}", index)

def work_anew(number):
    px = Plexus(source_id="drone-01")
    for index in range(20):
        px.send(f"child{number}", index)

if __name__ == "__main__":
    px = Plexus(source_id="drone-01")
    px.send("parent", 0)
    how = multiprocessing.get_context(sys.argv[1])
    task = work if sys.argv[1] == "fork" else work_anew
    children = [how.Process(target=task, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    px.send("parent", 1)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    px.close()
"""

A_SILENT_CHILD = """
import os, threading
from pathlib import Path
from plexus import Plexus

spools = Path(os.environ["PLEXUS_HOME"], "spool")
px = Plexus(source_id="drone-01")
before = sorted(spools.iterdir())
pid = os.fork()
if not pid:
    px.close()
    print(threading.active_count(), sorted(spools.iterdir()) == before, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
px.close()
"""

A_CHILD_WITH_A_PARENT_THAT_DIES = """
import os, signal, sys
from plexus import Plexus

px = Plexus(source_id="drone-01")
for index in range(50):
    px.send("parent", index)
pid = os.fork()
if not pid:
    sys.stdin.readline()
    for index in range(20):
        px.send("child", index)
    assert px.flush(20.0)
    px.close()
    os._exit(0)
assert px.flush(20.0, durable=True)
print("forked", flush=True)
os.waitpid(pid, 0)
os.kill(os.getpid(), signal.SIGKILL)
"""

A_PARENT_THAT_DIES_FIRST = """
import os, sys
from plexus import Plexus

px = Plexus(source_id="drone-01")
px.send("parent", 1)
assert px.flush(20.0)
pid = os.fork()
if not pid:
    sys.stdin.readline()
    os._exit(0)
print("forked", flush=True)
os.waitpid(pid, 0)
"""

A_RUN = """
import os
from plexus import Plexus

px = Plexus(source_id="drone-01")
with px.run("thermal-cycle"):
    pid = os.fork()
    px.send("parent" if pid else "child", 1)
if pid:
    os.waitpid(pid, 0)
assert px.flush(20.0)
px.close()
os._exit(0)
"""

SEVERAL_CLIENTS = """
from plexus import Plexus

clients = [Plexus(source_id=source_id) for source_id in ("drone-01", "drone-01", "drone-02", "drone-03")]
for index in range(50):
    for number, px in enumerate(clients):
        px.send(f"client{number}", index)
for px in clients:
    px.close()
"""

A_SENDER = """
import sys
from plexus import Plexus

with Plexus(source_id="drone-01") as px:
    for index in range(200):
        px.send(sys.argv[1], index)
"""

if hasattr(os, "fork"):

    def test_parent_and_children_each_deliver_their_own_once(gateway: Gateway, network: Proxy) -> None:
        run(MANY_CHILDREN, network.ws_url)
        expected = {f"child{child}": once(*range(20)) for child in range(5)}
        assert stored(gateway) == {**expected, "parent": once(*range(100))}

    def test_parent_and_children_without_a_gateway_leave_it_all_to_the_next_start(
        gateway: Gateway, network: Proxy
    ) -> None:
        network.be("down")
        run(MANY_CHILDREN.replace("assert px.flush(20.0)", "pass"), network.ws_url)
        network.be("open")
        drain(network.ws_url)
        expected = {f"child{child}": once(*range(20)) for child in range(5)}
        assert stored(gateway) == {**expected, "parent": once(*range(100))}

    def test_a_child_that_never_sends_opens_nothing(network: Proxy) -> None:
        assert run(A_SILENT_CHILD, network.ws_url) == "1 True\n"

    def test_a_child_never_sends_what_its_parent_took(gateway: Gateway, network: Proxy) -> None:
        network.be("down")
        parent = begin(A_CHILD_WITH_A_PARENT_THAT_DIES, network.ws_url)
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        network.be("open")
        parent.communicate("go\n", timeout=60)
        # The parent was killed: what it had not delivered is in its spool.
        drain(network.ws_url)
        assert stored(gateway) == {"child": once(*range(20)), "parent": once(*range(50))}

    def test_a_silent_child_does_not_hold_its_parents_connection_open(gateway: Gateway, network: Proxy) -> None:
        parent = begin(A_PARENT_THAT_DIES_FIRST, gateway.ws_url)
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        assert len(gateway.core.sockets) == 1
        parent.kill()
        parent.wait(10.0)
        eventually(lambda: not len(gateway.core.sockets), what="the end of the connection")
        parent.communicate("go\n", timeout=60)

    def test_a_run_that_was_open_at_the_fork_is_the_parents_to_end(gateway: Gateway, network: Proxy) -> None:
        run(A_RUN, network.ws_url)
        assert stored(gateway) == {"parent": once(1), "child": once(1)}
        assert [run.status for run in gateway.core.registry.runs("default", "drone-01", None)] == ["completed"]

    def test_children_of_multiprocessing_that_are_forked_deliver_at_their_end(gateway: Gateway, network: Proxy) -> None:
        run(THROUGH_MULTIPROCESSING.replace("sys.argv[1]", "'fork'"), network.ws_url)
        expected = {f"child{child}": once(*range(20)) for child in range(3)}
        assert stored(gateway) == {**expected, "parent": once(0, 1)}


def test_children_of_multiprocessing_that_are_spawned_deliver_at_their_end(
    gateway: Gateway, network: Proxy, tmp_path: Path
) -> None:
    # A file: a spawned child imports its parent's program.
    script = tmp_path / "spawning.py"
    script.write_text(THROUGH_MULTIPROCESSING.replace("sys.argv[1]", "'spawn'"))
    run(script, network.ws_url)
    expected = {f"child{child}": once(*range(20)) for child in range(3)}
    assert stored(gateway) == {**expected, "parent": once(0, 1)}


def test_several_clients_of_one_process_deliver_each_their_own(gateway: Gateway, network: Proxy) -> None:
    run(SEVERAL_CLIENTS, network.ws_url)
    all_of_them = once(*range(50))
    assert stored(gateway) == {"client0": all_of_them, "client1": all_of_them}
    assert stored(gateway, "drone-02") == {"client2": all_of_them}
    assert stored(gateway, "drone-03") == {"client3": all_of_them}


def test_several_processes_with_one_source_deliver_each_their_own(gateway: Gateway, network: Proxy) -> None:
    senders = [begin(A_SENDER.replace("sys.argv[1]", f"'m{number}'"), network.ws_url) for number in range(4)]
    assert [(sender.communicate(timeout=60)[1], sender.returncode) for sender in senders] == [("", 0)] * 4
    assert stored(gateway) == {f"m{number}": once(*range(200)) for number in range(4)}


def test_several_processes_without_a_gateway_leave_it_all_to_the_next_start(gateway: Gateway, network: Proxy) -> None:
    network.be("down")
    senders = [begin(A_SENDER.replace("sys.argv[1]", f"'m{number}'"), network.ws_url) for number in range(3)]
    assert [(sender.communicate(timeout=60)[1], sender.returncode) for sender in senders] == [("", 0)] * 3
    network.be("open")
    drain(network.ws_url)
    assert stored(gateway) == {f"m{number}": once(*range(200)) for number in range(3)}
