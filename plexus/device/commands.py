"""Commands that a device can be told to do (protocol page, section 4): acknowledged at once, run off the read loop.

    desk.handle(call) ──ack──► run(handler) ──result | error──►          0.5.2: `register`
    desk.handle(run)  ──acknowledged──► … (plexus.device.commandruns)    protocol 1: `declare`

A call is answered three times at most and run once: a repeat of an id that was seen is acknowledged and not run.

A gateway of protocol 1 is told the typed commands only, as every release from 0.12.0 on does it: it reaches the others
by name. Whether a gateway is one is known from its answer, so one that is not is greeted a second time, with all
commands in the form of 0.5.2; what the last one was is remembered for the next connection.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from plexus.device.commandruns import CommandRun, RunDesk
from plexus.device.counters import log
from plexus.device.declaring import Typed, TypedHandler, declare
from plexus.domain.command import Command, CommandCall, CommandOutcome
from plexus.domain.errors import CommandDeclarationError, CommandParamError, ProtocolError
from plexus.protocol import frames, jsontext
from plexus.protocol.commandruns import Said
from plexus.protocol.messages import CommandWord

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
    handler: Handler | None
    typed: Typed | None = None


def _nothing(*_arguments: object) -> None:
    """For hooks that nobody asked for."""


@attrs.frozen
class DeskHooks:
    """Whom the desk tells: that there is news to send, that the gateway is to be greeted again, and of a refusal.

    `refused(detail)` hears that the gateway does not take what is declared.
    """

    ring: Callable[[], None] = _nothing
    greet_again: Callable[[], None] = _nothing
    refused: Callable[[str], None] = _nothing


class CommandDesk:
    """Holds the handlers and answers calls. Every method may be called by any thread, `answer` from the handler's.

    `now` is monotonic seconds.
    """

    def __init__(
        self,
        answer: Callable[[CommandOutcome], None],
        run: Run,
        hooks: DeskHooks | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answer = answer
        self._run = run
        self._hooks = hooks or DeskHooks()
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._in_old_form = False
        self._said_in_old_form = False
        self.runs = RunDesk(run, self._hooks.ring, now)

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

    def declare(
        self, name: str, handler: TypedHandler, params: Mapping[str, Mapping[str, Any]] | None, **told: Any
    ) -> None:
        """Let `handler` do the typed command `name` (protocol 1); `told` are the other fields, as the wire names them.

        Raises CommandDeclarationError naming the command and what is wrong.
        """
        typed = declare(name, handler, params, CommandRun, **told)
        command = Command(name, typed.declaration.description or "", _in_old_form(typed))
        with self._lock:
            self._entries[name] = _Entry(command, None, typed)

    # --- what a session asks --------------------------------------------------------------------------------

    def declarations(self) -> tuple[dict[str, Any], ...]:
        """The commands as `device_auth` declares them, in the order of registration."""
        with self._lock:
            entries = list(self._entries.values())
            typed = [entry.typed.declaration.to_wire() for entry in entries if entry.typed is not None]
            self._said_in_old_form = self._in_old_form
            if typed and not self._in_old_form:
                return tuple(typed)
        commands = [entry.command for entry in entries]
        return tuple(
            {"name": each.name, "description": each.description, "params": [dict(param) for param in each.params]}
            for each in commands
        )

    def protocol(self) -> int:
        """1 where there are typed commands, also when they were declared in the old form: the gateway may be new."""
        with self._lock:
            return 1 if any(entry.typed is not None for entry in self._entries.values()) else 0

    def connected(self, protocol: int) -> None:
        """A gateway answered with this protocol; one that needs the other form of declarations is greeted again."""
        old = protocol < 1
        with self._lock:
            self._in_old_form = old
            has_typed = any(entry.typed is not None for entry in self._entries.values())
            again = has_typed and self._said_in_old_form != old
        if not old:
            self.runs.connected()
        if again:
            self._hooks.greet_again()

    def take(self) -> Sequence[Said]:
        """What is to be said of runs now, in order."""
        return self.runs.take()

    # --- what the gateway says ------------------------------------------------------------------------------

    def handle(self, word: CommandWord) -> None:
        """Take what the gateway says of commands. Never waits for a handler."""
        if isinstance(word, CommandCall):
            self._handle_call(word)
        elif isinstance(word, frames.CommandRun):
            with self._lock:
                entry = self._entries.get(word.command)
            self.runs.arrive(word, None if entry is None else entry.typed)
        elif isinstance(word, frames.CommandStatusAck):
            self.runs.acknowledged(word.run_id, word.seq)
        else:
            detail = word.detail or word.code
            log.warning("the gateway refuses a declared command: %s: %s", word.code, detail)
            self._hooks.refused(detail)

    def _handle_call(self, call: CommandCall) -> None:
        """Acknowledge a call and have it run, unless its id was seen before."""
        with self._lock:
            entry = self._entries.get(call.command)
            repeated = self._remember(call.call_id)
        self._answer(CommandOutcome(call.call_id, call.command, "ack"))
        if repeated:
            return
        if entry is None:
            self._answer(_failed(call, f"unknown command: {call.command}"))
            return
        if not self.runs.enter():
            self._answer(_failed(call, "the device takes no commands now"))
            return
        try:
            self._run(lambda: self._do(entry, call))
        except RuntimeError as exc:
            # The system gives no more threads, or the interpreter is going down.
            self.runs.leave()
            self._answer(_failed(call, f"the device cannot run it now: {exc}"))

    def _do(self, entry: _Entry, call: CommandCall) -> None:
        try:
            self._answer(_outcome(call, lambda: self._result(entry, call)))
        finally:
            self.runs.leave()

    def _result(self, entry: _Entry, call: CommandCall) -> Any:
        if entry.handler is not None:
            return entry.handler(call.command, dict(call.params))
        assert entry.typed is not None  # an entry has the one or the other
        return self.runs.call(entry.typed, call)

    def _remember(self, call_id: str) -> bool:
        """Whether this id was seen before; the last 256 are known."""
        if call_id in self._seen:
            return True
        self._seen[call_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False


def _outcome(call: CommandCall, work: Callable[[], Any]) -> CommandOutcome:
    try:
        result = work()
    except CommandParamError as exc:
        return _failed(call, str(exc))
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


def _in_old_form(typed: Typed) -> tuple[Mapping[str, Any], ...]:
    """Typed parameters as 0.5.2 describes them: a list, each with its name."""
    return tuple({"name": name, **each.to_wire()} for name, each in typed.declaration.params.items())


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
