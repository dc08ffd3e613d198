"""Which link carries the data: the socket when it can be had, plain HTTP meanwhile, and when to try again.

At most one link is active and one more is being tried. A goodbye of a link that worked is answered within half a
second, a failure with exponential backoff from 1 s to 60 s; a refused key rests for a minute, because asking faster
does not help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Union

import attrs

from plexus.device.link import Link
from plexus.protocol.backoff import backoff_s
from plexus.protocol.messages import AuthRefused, DeviceEvent, Ended, Notice, Ready

KEY_REST_S = 60.0
REFUSED_LINK_REST_S = 300.0
GOODBYE_MIN_S, GOODBYE_MAX_S = 0.1, 0.5
BOTH_OPEN_S = 0.05
"""How often both links are looked at while one carries the data and the other one greets."""


@attrs.frozen
class Unreachable:
    """A link was tried and did not come up; nothing was in flight on it."""

    link: str
    reason: str


LinkEvent = Union[DeviceEvent, Unreachable]


class LinkKeeper:
    """Keeps one link active. `fallback` is None where there is only one way; `dice` gives numbers from 0 up to 1."""

    def __init__(self, primary: Link, fallback: Link | None, dice: Callable[[], float]) -> None:
        self._primary = primary
        self._fallback = fallback
        self._dice = dice
        self._active: Link | None = None
        self._candidate: Link | None = None
        self._promoted: list[DeviceEvent] | None = None
        self._attempt = 0
        self._primary_at = 0.0
        self._fallback_at = 0.0

    # --- for the uplink -------------------------------------------------------------------------------------

    @property
    def active(self) -> Link | None:
        """The link that carries the data, None while there is none."""
        return self._active

    @property
    def usable(self) -> Link | None:
        """The active link, unless a better one is ready and it only waits for its last answers."""
        return self._active if self._promoted is None else None

    @property
    def fallen_back(self) -> bool:
        """Whether the active link is the second choice."""
        return self._active is not None and self._active is self._fallback

    def advance(self, now: float) -> list[LinkEvent]:
        """Move on: dial what is due, promote what is ready, notice what ended. What happened comes out, in order."""
        events = self._advance_candidate(now)
        if self._active is not None:
            events += self._heard(self._active, self._active.poll(now), now)
        self._dial_due(now)
        return events

    def wait(self, seconds: float, now: Callable[[], float]) -> bool:
        """Wait for messages on the link that matters most; False, at once, if no link is open."""
        active = self._active if self._active is not None and self._active.open else None
        waits = active is None or not active.in_flight()
        link = self._greeting() if waits else None
        link = link or active
        if link is None:
            return False
        link.wait(seconds, now)
        return True

    def wake(self) -> None:
        """Make a `wait` return now; any thread may call it."""
        for link in (self._primary, self._fallback):
            if link is not None:
                link.wake()

    def next_time(self, now: float) -> float | None:
        """When `advance` has something to do by itself, monotonic seconds."""
        # One that is ready and waits to take over is not asked until then.
        candidate = self._candidate if self._promoted is None else None
        times = [link.next_deadline() for link in (self._active, candidate) if link is not None]
        times.append(self._next_dial())
        if self._promoted is not None and (self._active is None or not self._active.in_flight()):
            return now
        if self._active is not None and self._greeting() is not None:
            # `wait` hears only one of the two.
            times.append(now + BOTH_OPEN_S)
        return min((time for time in times if time is not None), default=None)

    def is_hopeless_until(self, end: float) -> bool:
        """Whether no link is up and none will be tried before `end`."""
        if self._active is not None or self._candidate is not None:
            return False
        next_dial = self._next_dial()
        return next_dial is None or next_dial >= end

    def rest(self, until: float) -> None:
        """The gateway asked not to be asked before `until`."""
        self._primary_at, self._fallback_at = max(self._primary_at, until), max(self._fallback_at, until)

    def retry_now(self) -> None:
        """Forget all waiting: somebody asked for a flush."""
        self._primary_at = self._fallback_at = 0.0

    def give_up(self, reason: str, now: float) -> list[LinkEvent]:
        """Close the active link and count it as failed."""
        link = self._active
        return [] if link is None else self._heard(link, link.hang_up(reason), now)

    def say_hello_again(self) -> list[LinkEvent]:
        """Close the primary link, if it is the active one, so that the next greeting declares what is new."""
        link = self._active
        if link is None or link is not self._primary:
            return []
        self._active = None
        self._primary_at = 0.0
        return list(link.hang_up("making the connection again to declare new commands"))

    def hang_up(self, reason: str) -> list[LinkEvent]:
        """Close every link."""
        events: list[LinkEvent] = []
        if self._active is not None:
            events += self._active.hang_up(reason)
        if self._candidate is not None:
            self._candidate.hang_up(reason)
        self._active = self._candidate = self._promoted = None
        return events

    # --- inside ---------------------------------------------------------------------------------------------

    def _greeting(self) -> Link | None:
        """The candidate, while its greeting is not answered."""
        candidate = self._candidate
        return candidate if candidate is not None and candidate.open and self._promoted is None else None

    def _next_dial(self) -> float | None:
        if self._candidate is not None or self._active is self._primary:
            return None
        if self._active is None and self._fallback is not None:
            return min(self._primary_at, self._fallback_at)
        return self._primary_at

    def _dial_due(self, now: float) -> None:
        if self._candidate is not None or self._active is self._primary:
            return
        if now >= self._primary_at:
            self._candidate = self._primary
        elif self._active is None and self._fallback is not None and now >= self._fallback_at:
            self._candidate = self._fallback
        if self._candidate is not None:
            self._candidate.dial()

    def _advance_candidate(self, now: float) -> list[LinkEvent]:
        if self._promoted is not None:
            return self._promote()
        link = self._candidate
        if link is None:
            return []
        events = link.poll(now)
        over = next((event for event in events if isinstance(event, Ended)), None)
        if over is not None:
            self._candidate = None
            self._failed(link, events, now, worked=False)
            told: list[LinkEvent] = [event for event in events if isinstance(event, (AuthRefused, Notice))]
            return [*told, Unreachable(link.name, over.reason)]
        if any(isinstance(event, Ready) for event in events):
            self._promoted = events
            return self._promote()
        return []

    def _promote(self) -> list[LinkEvent]:
        """Let the candidate take over, once the link before it has all its answers."""
        if self._active is not None and self._active.in_flight():
            return []
        events: list[LinkEvent] = []
        if self._active is not None:
            left = self._active.hang_up("a better link is up")
            # A batch that declares losses has no points, so it may still be on its way: it goes over the new one then.
            events += [event for event in left if not isinstance(event, Ended) or event.batches]
        self._active, self._candidate = self._candidate, None
        events += self._promoted or []
        self._promoted = None
        if self._active is self._primary:
            self._attempt = 0
        return events

    def _heard(self, link: Link, events: list[DeviceEvent], now: float) -> list[LinkEvent]:
        refused = [event for event in events if isinstance(event, AuthRefused)]
        if refused and not any(isinstance(event, Ended) for event in events):
            events = [*events, *link.hang_up(refused[0].detail)]
        if any(isinstance(event, Ended) for event in events):
            self._active = None
            self._failed(link, events, now, worked=True)
        return list(events)

    def _failed(self, link: Link, events: list[DeviceEvent], now: float, *, worked: bool) -> None:
        refused = next((event for event in events if isinstance(event, AuthRefused)), None)
        goodbye = any(isinstance(event, Ended) and event.goodbye for event in events)
        if refused is not None and refused.key_at_fault:
            self._primary_at = self._fallback_at = now + KEY_REST_S
        elif refused is not None:
            self._primary_at = now + REFUSED_LINK_REST_S
        elif goodbye and worked:
            rest = GOODBYE_MIN_S + (GOODBYE_MAX_S - GOODBYE_MIN_S) * self._dice()
            self._primary_at, self._fallback_at = now + rest, max(self._fallback_at, now + rest)
        elif link is self._primary:
            self._primary_at = now + backoff_s(self._attempt, self._dice)
            self._attempt += 1
            if worked:
                # One that worked until now most likely comes back: it is tried once before the second choice.
                self._fallback_at = max(self._fallback_at, self._primary_at)
        else:
            self._fallback_at = max(self._primary_at, now + backoff_s(max(self._attempt - 1, 0), self._dice))
