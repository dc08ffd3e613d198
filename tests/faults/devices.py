"""Device processes, the record of what each said it had sent, and the judgement over what was stored of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from tests.faults.program import FLUSHED, RECORD, SENT
from tests.support.served import Served
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

X_S = 0.25
FSYNC_S = float(os.environ.get("FAULT_FSYNC_S", "0.25"))
"""One flush, and the threads of a busy machine: a point that was sent so much longer than X ago must be there."""


@attrs.define
class Life:
    """What one process said: the time of each send by its index, and the last index that a durable flush covered."""

    metric: str
    sent: dict[int, int] = attrs.field(factory=dict)
    flushed: int = 0
    killed_ns: int | None = None

    def owed(self) -> set[int]:
        """The indexes that must be stored, whatever became of the process."""
        if self.killed_ns is None:
            return set(self.sent)
        limit = self.killed_ns - round((X_S + FSYNC_S) * 1e9)
        return {index for index, at in self.sent.items() if at < limit or index <= self.flushed}


class Device:
    """One process that sends, in a home of its own that it finds again in its next life."""

    def __init__(self, home: Path, source_id: str, api_key: str, ws_url: str) -> None:
        self.source_id = source_id
        self.lives: list[Life] = []
        self._home = home
        self._order = {"source_id": source_id, "api_key": api_key, "ws_url": ws_url}
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self, **order: Any) -> Life:
        """Begin a life and wait for its first send."""
        life = Life(f"life{len(self.lives)}")
        self.lives.append(life)
        foreign = {name for name in os.environ if name.startswith("PLEXUS_")}
        environment = {name: value for name, value in os.environ.items() if name not in foreign}
        environment |= {"PLEXUS_HOME": str(self._home), "PLEXUS_QUIET": "1"}
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "stderr.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.faults.program",
                    json.dumps({**self._order, "metric": life.metric, **order}),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=environment,
            )
        self._reader = threading.Thread(target=_read, args=(self._process, life), name="device-record")
        self._reader.start()
        eventually(lambda: life.sent or self._has_ended(), 30.0, "the device's first send")
        assert life.sent, f"the device ended: {self.said()}"
        return life

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self.lives[-1].killed_ns = time.monotonic_ns()
        self._process.kill()
        self._end()

    def finish(self) -> None:
        """Have it deliver everything and end in good order."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._end() == 0, f"the device did not deliver everything: {self.said()}"

    def said(self) -> str:
        """The end of what it wrote to its error stream."""
        return (self._home / "stderr.txt").read_text(errors="replace")[-4_000:]

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end(self) -> int:
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait(90.0)
        self._reader.join(10.0)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process = None
        return code

    def stop(self) -> None:
        """Leave nothing behind, however the test ended."""
        if self._process is not None:
            self._process.kill()
            self._end()


def _read(process: subprocess.Popen[bytes], life: Life) -> None:
    assert process.stdout is not None
    while len(raw := process.stdout.read(RECORD.size)) == RECORD.size:
        kind, index, at = RECORD.unpack(raw)
        if kind == SENT:
            life.sent[index] = at
        elif kind == FLUSHED:
            life.flushed = index


@attrs.define
class Verdict:
    """What is missing and what is there twice, of all lives together."""

    owed: int = 0
    stored: int = 0
    lost: list[str] = attrs.field(factory=list)
    twice: list[str] = attrs.field(factory=list)
    oldest_allowed_loss_s: float = 0.0

    def judge(self, device: Device, life: Life, rows: Counter[Any]) -> None:
        """Compare what a process said with what the gateway has."""
        owed = life.owed()
        self.owed += len(owed)
        self.stored += sum(rows.values())
        name = f"{device.source_id} {life.metric}"
        self.lost += [f"{name} {index}" for index in sorted(owed) if not rows[index]]
        self.twice += [f"{name} {index} x{times}" for index, times in rows.items() if times > 1]
        if life.killed_ns is not None:
            ages = [(life.killed_ns - at) / 1e9 for index, at in life.sent.items() if not rows[index]]
            self.oldest_allowed_loss_s = max([self.oldest_allowed_loss_s, *ages])

    def say(self, what: str) -> None:
        """Tell the figures, to who runs `make test-faults`."""
        print(  # noqa: T201 - a long test's result is more than that it passed
            f"\n{what}: {self.owed:,} points owed, {self.stored:,} stored, {len(self.lost)} lost, "
            f"{len(self.twice)} twice; of those that may be lost the oldest was {self.oldest_allowed_loss_s:.3f} s old"
        )

    def check(self, replay: str) -> None:
        """Fail naming what is wrong and how to do it again."""
        assert not self.lost, f"{len(self.lost)} of {self.owed} lost, such as {self.lost[:5]}\n{replay}"
        assert not self.twice, f"{len(self.twice)} stored twice, such as {self.twice[:5]}\n{replay}"


def judge(served: Served, devices: list[Device]) -> Verdict:
    """Read back all that these devices sent, and judge it."""
    verdict = Verdict()
    for device in devices:
        for life in device.lives:
            rows: Counter[Any] = Counter()
            for thousand in {index // 1000 for index in life.sent}:
                rows.update(served.values(device.source_id, f"{life.metric}.{thousand}"))
            verdict.judge(device, life, rows)
    return verdict
