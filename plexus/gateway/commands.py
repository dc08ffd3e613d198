"""Commands on their way to devices, and what became of them. All of it is held in memory, so a restart forgets it.

A command whose name the device declared under protocol 1 becomes a run: it has an id, a time until which it is worth
doing, and a last state. Any other becomes a call of 0.5.2, whose outcomes are kept as they come. A run that the device
did not answer to before its connection was lost is sent again when it is back, if that is harmless (`idempotent`).
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Union

import attrs
import orjson

from plexus.domain.command import CommandCall, CommandOutcome
from plexus.domain.declaration import Declaration
from plexus.protocol import frames
from plexus.protocol.commandruns import FINAL

OUTCOMES_KEPT = 100
RUNS_KEPT = 1_000
"""Of one organisation; the oldest are let go."""
RESULT_BYTES_KEPT = 64 * 1024
"""A result that is larger as JSON is not kept with its outcome: a hundred of them are held in memory."""

logger = logging.getLogger("plexus.gateway")

_Device = tuple[str, str]
"""`(org, source_id)`."""

NO_TYPED_COMMANDS: Mapping[str, Declaration] = {}


@attrs.frozen
class RunOrder:
    """A run to be sent, and the monotonic second after which it is not worth doing."""

    asked: frames.CommandRun
    deadline: float

    def at(self, now: float) -> frames.CommandRun:
        """The frame, as it is to be sent at `now`: with what remains."""
        return attrs.evolve(self.asked, ttl_ms=max(0, round((self.deadline - now) * 1000.0)))


Order = Union[CommandCall, RunOrder]


class DeviceLink(Protocol):
    """An open device socket, as far as commands are concerned."""

    def call(self, order: Order) -> bool:
        """Put a command on its way; False when the socket takes no more."""
        ...


@attrs.frozen
class HeardOutcome:
    """What a device said of a command, with the source that said it."""

    source_id: str
    outcome: CommandOutcome


@attrs.define
class KeptRun:
    """A run, and the last that its device said of it: `state` is "" until it said something."""

    source_id: str
    order: RunOrder
    state: str = ""
    seq: int = 0
    status: frames.CommandStatus | None = None


@attrs.frozen
class Sent:
    """What became of an order: whether it is on its way, and the id under which the device answers."""

    queued: bool
    run_id: str | None = None


@attrs.frozen
class _Joined:
    link: DeviceLink
    declared: Mapping[str, Declaration]


class Devices:
    """The devices that are connected, and what became of their commands; a source's newest socket gets the call.

    `monotonic` is in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._links: dict[_Device, list[_Joined]] = {}
        self._outcomes: dict[str, deque[HeardOutcome]] = {}
        self._runs: dict[str, OrderedDict[tuple[str, str], KeptRun]] = {}

    # --- who is there ---------------------------------------------------------------------------------------

    def joined(
        self, org: str, source_id: str, link: DeviceLink, declared: Mapping[str, Declaration] = NO_TYPED_COMMANDS
    ) -> None:
        """A device is authenticated; `declared` are its typed commands. What it may not have got is sent again."""
        self._links.setdefault((org, source_id), []).append(_Joined(link, declared))
        self._send_again(org, source_id, link, declared)

    def left(self, org: str, source_id: str, link: DeviceLink) -> None:
        """Its socket is gone."""
        links = [each for each in self._links.get((org, source_id), ()) if each.link is not link]
        if links:
            self._links[org, source_id] = links
        else:
            self._links.pop((org, source_id), None)

    def connected(self, org: str, source_id: str) -> bool:
        """Whether the source has an open socket."""
        return (org, source_id) in self._links

    # --- orders ---------------------------------------------------------------------------------------------

    def call(self, org: str, source_id: str, command: str, params: Mapping[str, Any]) -> Sent:
        """Send a command to a device, as a run where it declared it so; not queued when the device is offline."""
        run_id = secrets.token_hex(16)
        joined = reversed(self._links.get((org, source_id), ()))
        queued = any(self._order(org, source_id, each, CommandCall(run_id, command, params)) for each in joined)
        logger.info("command %s (%s) for %s: %s", command, run_id, source_id, "queued" if queued else "device offline")
        return Sent(queued, run_id if queued else None)

    def _order(self, org: str, source_id: str, joined: _Joined, call: CommandCall) -> bool:
        declaration = joined.declared.get(call.command)
        if declaration is None:
            return joined.link.call(call)
        asked = frames.CommandRun(call.call_id, call.command, call.params)
        order = RunOrder(asked, self._monotonic() + declaration.expires_in_s)
        queued = joined.link.call(order)
        if queued:
            self._keep(org, KeptRun(source_id, order))
        return queued

    def _send_again(self, org: str, source_id: str, link: DeviceLink, declared: Mapping[str, Declaration]) -> None:
        now = self._monotonic()
        for run in list(self._runs.get(org, {}).values()):
            asked = run.order.asked
            declaration = declared.get(asked.command)
            if run.source_id != source_id or run.state or declaration is None or not declaration.idempotent:
                continue
            if now < run.order.deadline:
                run.order = attrs.evolve(run.order, asked=attrs.evolve(asked, attempt=asked.attempt + 1))
                link.call(run.order)

    # --- what devices say -----------------------------------------------------------------------------------

    def answered(self, org: str, source_id: str, outcome: CommandOutcome) -> None:
        """A device said something of a call; the last 100 of an organisation are kept."""
        if _json_size(outcome.result) > RESULT_BYTES_KEPT:
            outcome = attrs.evolve(outcome, result=None)
        self._outcomes.setdefault(org, deque(maxlen=OUTCOMES_KEPT)).append(HeardOutcome(source_id, outcome))
        logger.info(
            "command %s (%s) on %s: %s%s",
            outcome.command,
            outcome.call_id,
            source_id,
            outcome.event,
            f": {outcome.error}" if outcome.error else "",
        )

    def reported(self, org: str, source_id: str, status: frames.CommandStatus) -> frames.CommandStatusAck:
        """A device said where a run is: it is kept when it is news, and acknowledged either way."""
        run = self._run(org, source_id, status.run_id) or self._keep(org, _unknown(source_id, status.run_id))
        if status.seq > run.seq and run.state not in FINAL:
            if _json_size(status.result) > RESULT_BYTES_KEPT:
                status = attrs.evolve(status, result=None)
            run.state, run.seq, run.status = status.state, status.seq, status
            why = f": {status.error_code}: {status.error_message}" if status.error_code else ""
            logger.info("run %s on %s: %s%.2000s", status.run_id, source_id, status.state, why)
        return frames.CommandStatusAck(status.run_id, max(run.seq, status.seq))

    def synced(self, org: str, source_id: str, sync: frames.CommandSync) -> list[frames.CommandStatusAck]:
        """A device said what it knows of its runs: the acknowledgements of what is known here."""
        known = [self._run(org, source_id, each.run_id) for each in sync.runs]
        return [
            frames.CommandStatusAck(run.order.asked.run_id, run.seq) for run in known if run is not None and run.seq
        ]

    # --- what is known --------------------------------------------------------------------------------------

    def outcomes(self, org: str) -> list[HeardOutcome]:
        """What devices last said of their calls, oldest first."""
        return list(self._outcomes.get(org, ()))

    def runs(self, org: str) -> list[KeptRun]:
        """The runs of an organisation, oldest first; the last 1,000 are kept."""
        return list(self._runs.get(org, {}).values())

    def _run(self, org: str, source_id: str, run_id: str) -> KeptRun | None:
        # By source too: no device may speak for the runs of another.
        runs = self._runs.get(org)
        return None if runs is None else runs.get((source_id, run_id))

    def _keep(self, org: str, run: KeptRun) -> KeptRun:
        runs = self._runs.setdefault(org, OrderedDict())
        runs[run.source_id, run.order.asked.run_id] = run
        if len(runs) > RUNS_KEPT:
            runs.popitem(last=False)
        return run


def _unknown(source_id: str, run_id: str) -> KeptRun:
    """A run from before this process."""
    return KeptRun(source_id, RunOrder(frames.CommandRun(run_id, ""), 0.0))


def _json_size(value: Any) -> float:
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return float("inf")  # nested deeper than it goes
