"""Which link carries the data: the socket when it can be had, plain HTTP meanwhile, and when to try again.

At most one link is active and one more is being tried. A goodbye is answered within half a second, a failure with
exponential backoff from 1 s to 60 s; a refused key rests for a minute, because asking faster does not help.
"""

from __future__ import annotations

from collections.abc import Callable

from plexus.device.link import Link
from plexus.protocol.backoff import backoff_s
from plexus.protocol.messages import AuthRefused, DeviceEvent, Ended, Notice, Ready

KEY_REST_S = 60.0
REFUSED_LINK_REST_S = 300.0
GOODBYE_MIN_S, GOODBYE_MAX_S = 0.1, 0.5


class LinkKeeper:
    """Keeps one link active. `fallback` is None where there is only one way."""

    def __init__(self, primary: Link, fallback: Link | None, random: Callable[[], float]) -> None:
        self._primary = primary
        self._fallback = fallback
        self._random = random
        self.active: Link | None = None
        self._candidate: Link | None = None
        self._promoted: list[DeviceEvent] | None = None
        self._attempt = 0
        self._primary_at = 0.0
        self._fallback_at = 0.0

    # --- for the uplink -------------------------------------------------------------------------------------

    def advance(self, now: float) -> list[DeviceEvent]:
        """Move on: dial what is due, promote what is ready, notice what ended. Events of the active link come out."""
        events = self._advance_candidate(now)
        if self.active is not None:
            events += self._heard(self.active, self.active.poll(now), now)
        self._dial_due(now)
        return events

    @property
    def draining(self) -> bool:
        """Whether a better link is ready, so that nothing new goes to this one."""
        return self._promoted is not None and self.active is not None

    def waiting_link(self) -> Link | None:
        """The link to wait on."""
        return self.active or (self._candidate if self._candidate and self._candidate.open else None)

    def also_waiting(self) -> Link | None:
        """Another open link, to look at while waiting on the first."""
        candidate = self._candidate
        return candidate if self.active is not None and candidate is not None and candidate.open else None

    def next_time(self) -> float | None:
        """When `advance` has something to do by itself, monotonic seconds."""
        times = [link.next_deadline() for link in (self.active, self._candidate) if link is not None]
        if self._candidate is None and self.active is not self._primary:
            times.append(self._primary_at)
            if self.active is None and self._fallback is not None:
                times.append(self._fallback_at)
        return min((time for time in times if time is not None), default=None)

    def retry_now(self) -> None:
        """Forget all waiting: somebody asked for a flush."""
        self._primary_at = self._fallback_at = 0.0

    def hang_up(self, reason: str) -> list[DeviceEvent]:
        """Close every link."""
        events: list[DeviceEvent] = []
        if self.active is not None:
            events += self.active.hang_up(reason)
        if self._candidate is not None:
            self._candidate.hang_up(reason)
        self.active = self._candidate = self._promoted = None
        return events

    # --- inside ---------------------------------------------------------------------------------------------

    def _dial_due(self, now: float) -> None:
        if self._candidate is not None or self.active is self._primary:
            return
        if now >= self._primary_at:
            self._dial(self._primary, now)
        elif self.active is None and self._fallback is not None and now >= self._fallback_at:
            self._dial(self._fallback, now)

    def _dial(self, link: Link, now: float) -> None:
        self._candidate = link
        # Until it is known how this went, nothing else is due; the outcome sets the times anew.
        self._primary_at = max(self._primary_at, now)
        link.dial()

    def _advance_candidate(self, now: float) -> list[DeviceEvent]:
        if self._promoted is not None:
            return self._promote()
        link = self._candidate
        if link is None:
            return []
        events = link.poll(now)
        if any(isinstance(event, Ended) for event in events):
            self._candidate = None
            self._failed(link, events, now)
            return [event for event in events if isinstance(event, (AuthRefused, Notice, Ended))]
        if any(isinstance(event, Ready) for event in events):
            self._promoted = list(events)
            return self._promote()
        return []

    def _promote(self) -> list[DeviceEvent]:
        if self.active is not None and self.active.in_flight():
            return []
        events = self.active.hang_up("a better link is up") if self.active is not None else []
        events = [event for event in events if not isinstance(event, Ended)]
        self.active, self._candidate = self._candidate, None
        events += self._promoted or []
        self._promoted = None
        if self.active is self._primary:
            self._attempt = 0
        return events

    def _heard(self, link: Link, events: list[DeviceEvent], now: float) -> list[DeviceEvent]:
        refused = [event for event in events if isinstance(event, AuthRefused)]
        if refused and not any(isinstance(event, Ended) for event in events):
            events = events + link.hang_up(refused[0].detail)
        if any(isinstance(event, Ended) for event in events):
            self.active = None
            self._failed(link, events, now)
        return events

    def _failed(self, link: Link, events: list[DeviceEvent], now: float) -> None:
        refused = next((event for event in events if isinstance(event, AuthRefused)), None)
        goodbye = any(isinstance(event, Ended) and event.goodbye for event in events)
        if refused is not None and refused.key_at_fault:
            self._primary_at = self._fallback_at = now + KEY_REST_S
        elif refused is not None:
            self._primary_at = now + REFUSED_LINK_REST_S
        elif goodbye:
            rest = GOODBYE_MIN_S + (GOODBYE_MAX_S - GOODBYE_MIN_S) * self._random()
            self._primary_at, self._fallback_at = now + rest, max(self._fallback_at, now + rest)
        elif link is self._primary:
            # A link that worked until now is tried again at once by its sibling; the primary itself waits.
            self._primary_at = now + backoff_s(self._attempt, self._random)
            self._attempt += 1
        else:
            self._fallback_at = max(self._primary_at, now + backoff_s(max(self._attempt - 1, 0), self._random))
