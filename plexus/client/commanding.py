"""The part of `Plexus` that takes commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from plexus.client.held import Held
from plexus.device.commandruns import FINISH_S
from plexus.device.commands import Handler
from plexus.device.declaring import TypedHandler
from plexus.domain.declaration import DEFAULT_EXPIRES_S, Concurrency, Danger

H = TypeVar("H", bound=TypedHandler)


class Commanding(Held):
    """`command`, `on_command`, `serve`, `stop_serving`."""

    def command(
        self,
        name: str,
        *,
        title: str | None = None,
        description: str | None = None,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        danger: Danger = "normal",
        idempotent: bool = False,
        expires_in_s: float = DEFAULT_EXPIRES_S,
        expires_in: float | None = None,
        concurrency: Concurrency = "accept",
    ) -> Callable[[H], H]:
        """Declare a command that this device can be told to do, with the function that does it.

            @px.command("power_off", title="Power off", danger="critical", idempotent=True)
            def power_off(outlet: Annotated[int, {"minimum": 1, "maximum": 8}]) -> dict[str, str]:
                pdu.outlet(outlet).off()
                return {"state": "off"}

        The function gets its parameters by name, checked, on a thread of its own; its first parameter gets the
        `CommandRun` if it is called `run`, `ctx` or `context`, or is annotated so. What it returns is the result, what
        it raises the failure. One run never runs twice.

        Args:
            name: `^[a-z][a-z0-9_]{0,63}$`.
            title, description: for the person who sends it.
            params: `{"outlet": {"type": "integer", "minimum": 1}}`: string (`maxLength`, `enum`), integer and number
                (`minimum`, `maximum`, `unit`), boolean; with `title`, `description`, `default`, `required`. Without it
                they are taken from the function's signature.
            danger: "normal" (one click), "dangerous" (one more to confirm), "critical" (and the device's name).
            idempotent: whether doing it twice is harmless; only such a run is sent again after a lost connection.
            expires_in_s: 5 to 3600 seconds after which a run is not begun any more, by this device's monotonic clock.
            expires_in: what releases before this one call `expires_in_s`.
            concurrency: "reject" refuses a run of this command while another is going on.

        Raises CommandDeclarationError (a ValueError). On a connection that is up already the gateway is greeted again,
        so that it learns of the command.
        """

        def declare(function: H) -> H:
            self._client.desk.declare(
                name,
                function,
                params,
                title=title,
                description=description,
                danger=danger,
                idempotent=idempotent,
                expires_in_s=expires_in_s if expires_in is None else expires_in,
                concurrency=concurrency,
            )
            self._client.outbox.want_hello()
            return function

        return declare

    def on_command(
        self,
        name: str,
        handler: Handler,
        *,
        description: str | None = None,
        params: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Call `handler(name, params)`, on a thread of its own, when this command comes; what it returns is the answer.

        As in 0.5.2: the parameters come as they were sent. On a connection that is up already the gateway is greeted
        again, so that it learns of the command.
        """
        self._client.desk.register(name, handler, description=description, params=params)
        self._client.outbox.want_hello()

    def serve(self, timeout: float | None = None) -> None:
        """Stay here while commands come in: until `stop_serving` or `close`, Ctrl+C, or for `timeout` seconds.

        Commands are taken whether or not a program is in here; it is for one that has nothing else to do. When it ends,
        no new ones are taken, until it is called again, and those that are going on may finish. The client stays open.
        """
        self._client.desk.runs.serve(timeout)

    def stop_serving(self, timeout: float = FINISH_S) -> None:
        """Take no new commands and have `serve` return, once those that are going on are over or `timeout` has passed.

        Any thread may call it, a command's own too; it does not wait. A command that comes then is answered that the
        device is busy.
        """
        self._client.desk.runs.stop(timeout)
