"""What the program is told of: by its next `send`, which raises it once, and by its `on_error`.

    refused key, rate limit ──► the next `send`, after its own reading is safe, once an episode
    those, losses, a failing disk ──► `on_error`, at the end of the step, when all is consistent

The intake has one alarm, which `send` looks at; the bell that wakes the uplink from deep sleep hangs on it too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from plexus.device.counters import Counters, log
from plexus.device.intake import Intake
from plexus.domain.errors import AuthenticationError, DataLossError, PlexusError, RateLimitedError
from plexus.domain.loss import Loss


class _Bell:
    """Rings once, whoever is first; then does what the alarm did that was there before."""

    def __init__(self, ring: Callable[[], None], then: Callable[[], None] | None) -> None:
        self.then = then
        self._ring = ring
        self._rung = False

    def __call__(self) -> None:
        if not self._rung:
            self._rung = True
            self._ring()
        if self.then is not None:
            self.then()


class Alarms:
    """For the uplink's thread, but for the alarm itself, which any thread's `send` calls."""

    def __init__(
        self, intake: Intake, tally: Counters, on_error: Callable[[PlexusError], None], ring: Callable[[], None]
    ) -> None:
        self._intake = intake
        self._counters = tally
        self._on_error = on_error
        self._ring = ring
        self._bell: _Bell | None = None
        self._errors: deque[PlexusError] = deque()
        self._raised: PlexusError | None = None
        self._is_key_refused = False
        self._is_source_refused = False
        self._is_limited = False
        # Reasons of losses that were told since a batch was last accepted whole.
        self._told: set[str] = set()

    # --- the bell -------------------------------------------------------------------------------------------

    def arm(self) -> None:
        """From now on the next `send` rings. Look at the intake once more afterwards: one may just have missed it."""
        alarm = self._intake.alarm
        then = alarm.then if isinstance(alarm, _Bell) else alarm
        self._bell = _Bell(self._ring, then)
        self._intake.alarm = self._bell

    def disarm(self) -> None:
        """The uplink is awake. A bell on which an error hangs stays, to be raised by the next `send`."""
        if self._bell is not None and self._bell.then is None and self._intake.alarm is self._bell:
            self._intake.alarm = None
        self._bell = None

    # --- what is raised by `send` ---------------------------------------------------------------------------

    def key_refused(self, why: str) -> None:
        """The gateway refuses the key; told once, until one is accepted."""
        if self._is_key_refused:
            return
        self._is_key_refused = True
        self._raise(
            AuthenticationError(
                f"the gateway refuses the API key ({why}): nothing is lost, data stays on this machine; "
                "set PLEXUS_API_KEY or run `plexus init --force`, then start again"
            )
        )

    def source_refused(self, why: str) -> None:
        """The gateway has no room for one more source; told once, until it lets this one in."""
        if self._is_source_refused:
            return
        self._is_source_refused = True
        self._raise(
            AuthenticationError(
                f"the gateway takes no more sources ({why}): nothing is lost, data stays on this machine "
                "until it does; the API key is not at fault"
            )
        )

    def key_accepted(self) -> None:
        """The gateway let the device in: there is nothing to be raised about its key or its name any more."""
        self._is_key_refused = self._is_source_refused = False
        if isinstance(self._raised, AuthenticationError) and self._intake.alarm is not None:
            self._raised = self._intake.alarm = None

    def rate_limited(self, count: int, detail: str) -> None:
        """The gateway refused points for rate; told once a burst."""
        if self._is_limited:
            return
        self._is_limited = True
        why = f" ({detail})" if detail else ""
        self._raise(
            RateLimitedError(
                f"the gateway refused {count} points for rate{why}: they are counted in stats().dropped and not sent "
                "again; send less often or in larger batches"
            )
        )

    def accepted_whole(self) -> None:
        """The gateway stored a batch undiminished: a burst of refusals and losses is over."""
        self._is_limited = False
        self._told.clear()

    # --- what is told to `on_error` -------------------------------------------------------------------------

    def fault(self, error: PlexusError) -> None:
        """A disk, or something else of this machine's, failed."""
        log.error("%s", error)
        self._errors.append(error)

    def tell(self) -> None:
        """Call `on_error` for all that happened."""
        for loss, detail in self._counters.take_news():
            if loss.reason not in self._told:
                self._told.add(loss.reason)
                self._errors.append(_data_loss(loss, detail))
        while self._errors:
            try:
                self._on_error(self._errors.popleft())
            except Exception:  # noqa: BLE001 - it is the program's own, and must not end its delivery
                log.exception("on_error failed; delivery goes on")

    def _raise(self, error: PlexusError) -> None:
        self._raised = error
        self._intake.raise_once(error)
        self._errors.append(error)


def _data_loss(loss: Loss, detail: str) -> DataLossError:
    why = f": {detail}" if detail else ""
    return DataLossError(f"{loss.count} points were dropped ({loss.reason}){why}; stats().dropped counts on", loss=loss)
