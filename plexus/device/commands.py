"""Commands that a device can be told to do (protocol page, section 4): acknowledged at once, run off the read loop.

    desk.handle(call) ──ack──► run(handler) ──result | error──►

A call is answered three times at most and run once: a repeat of an id that was seen is acknowledged and not run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from plexus.domain.command import Command, CommandCall, CommandOutcome
from plexus.domain.errors import CommandDeclarationError, ProtocolError
from plexus.protocol import jsontext

REMEMBERED = 256
MAX_RESULT_BYTES = 512 * 1024
"""Half of the 1 MB that the hosted service takes in one message."""
MAX_ERROR_CHARS = 2_000

Handler = Callable[[str, dict[str, Any]], Any]
"""`handler(name, params)`; what it returns must be sayable in JSON."""

Run = Callable[[Callable[[], None]], None]
"""How a handler is run: on a thread of its own in a client, at once in a test."""


@attrs.frozen
class _Entry:
    command: Command
    handler: Handler


class CommandDesk:
    """Holds the handlers and answers calls. Every method may be called by any thread, `answer` from the handler's."""

    def __init__(self, answer: Callable[[CommandOutcome], None], run: Run) -> None:
        self._answer = answer
        self._run = run
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def register(
        self,
        name: str,
        handler: Handler,
        *,
        description: str | None = None,
        params: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Let `handler` answer the command `name`, in the place of one that did before.

        `params` describes the parameters for the person who sends the command, an object each. The gateway learns of
        a command at the next connection. Raises CommandDeclarationError naming what is wrong.
        """
        if not callable(handler):
            raise CommandDeclarationError(f"command {name!r}: the handler must be callable with (name, params)")
        command = Command(name, _text(name, description), _params(name, params))
        with self._lock:
            self._entries[name] = _Entry(command, handler)

    def declarations(self) -> tuple[dict[str, Any], ...]:
        """The commands as `device_auth` declares them, in the order of registration."""
        with self._lock:
            commands = [entry.command for entry in self._entries.values()]
        return tuple(
            {"name": each.name, "description": each.description, "params": [dict(param) for param in each.params]}
            for each in commands
        )

    def handle(self, call: CommandCall) -> None:
        """Acknowledge a call and have it run, unless its id was seen before. Never waits for the handler."""
        with self._lock:
            entry = self._entries.get(call.command)
            repeated = self._remember(call.call_id)
        self._answer(CommandOutcome(call.call_id, call.command, "ack"))
        if repeated:
            return
        if entry is None:
            self._answer(_failed(call, f"unknown command: {call.command}"))
            return
        try:
            self._run(lambda: self._answer(_outcome(call, entry.handler)))
        except RuntimeError as exc:
            # The system gives no more threads, or the interpreter is going down.
            self._answer(_failed(call, f"the device cannot run it now: {exc}"))

    def _remember(self, call_id: str) -> bool:
        """Whether this id was seen before; the last 256 are known."""
        if call_id in self._seen:
            return True
        self._seen[call_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False


def _outcome(call: CommandCall, handler: Handler) -> CommandOutcome:
    try:
        result = handler(call.command, dict(call.params))
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever the handler raises is what its sender has to hear
        return _failed(call, f"{type(exc).__name__}: {exc}")
    try:
        text = jsontext.dumps(result)
    except ProtocolError as exc:
        return _failed(call, f"the handler's result of type {type(result).__name__} cannot be sent: {exc}")
    size = len(text.encode())
    if size > MAX_RESULT_BYTES:
        return _failed(call, f"the handler's result has {size} bytes of JSON; at most {MAX_RESULT_BYTES} can be sent")
    # Taken as it is now: the handler may go on changing what it returned.
    return CommandOutcome(call.call_id, call.command, "result", jsontext.loads(text))


def _failed(call: CommandCall, error: str) -> CommandOutcome:
    # A lone surrogate (a file name, say) would make the answer itself unsendable.
    sendable = error[:MAX_ERROR_CHARS].encode("utf-8", "replace").decode()
    return CommandOutcome(call.call_id, call.command, "error", error=sendable)


def _text(name: str, description: str | None) -> str:
    if description is not None and not isinstance(description, str):
        raise CommandDeclarationError(f"command {name!r}: description must be text, not {type(description).__name__}")
    return description or ""


def _params(name: str, params: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    if params is None:
        return ()
    if isinstance(params, (str, bytes, Mapping)) or not all(isinstance(param, Mapping) for param in params):
        raise CommandDeclarationError(
            f"command {name!r}: params must be a list with an object each, such as "
            '[{"name": "delay_s", "type": "number"}]'
        )
    try:
        return tuple(jsontext.loads(jsontext.dumps([dict(param) for param in params])))
    except ProtocolError as exc:
        raise CommandDeclarationError(f"command {name!r}: params {exc}") from exc
