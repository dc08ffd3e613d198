"""What the gateway's answers to batches mean for them, and for whether it may be asked again yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from plexus.device import counters
from plexus.device.alarms import Alarms
from plexus.device.burial import LIMITS
from plexus.device.counters import Counters
from plexus.device.dispatch import HOLD_S, Dispatch
from plexus.device.links import LinkEvent, LinkKeeper
from plexus.device.retrying import RetryConfig
from plexus.device.status import StatusLine
from plexus.domain.errors import DeliveryError
from plexus.domain.loss import Loss
from plexus.protocol.messages import Delivered, Forked, Oversized, Refused, Rewound

Answer = Union[Delivered, Refused, Rewound, Forked, Oversized]

_REASONS: Mapping[str, str] = {"400": counters.MALFORMED, "422": counters.MALFORMED}


class Answers:
    """Applies answers to the dispatch, and tells the person and the program what they have to know."""

    def __init__(
        self,
        dispatch: Dispatch,
        links: LinkKeeper,
        alarms: Alarms,
        tally: Counters,
        retry: RetryConfig,
        status: StatusLine,
    ) -> None:
        self.held_until = 0.0
        """The gateway asked not to be asked before, monotonic seconds."""
        self._dispatch = dispatch
        self._links = links
        self._alarms = alarms
        self._counters = tally
        self._retry = retry
        self._status = status
        self._refusals = 0

    def new_link(self) -> None:
        """A link is ready: it starts without a record."""
        self._refusals, self.held_until = 0, 0.0
        self._dispatch.try_again()

    def hold(self, until: float) -> None:
        """Send nothing before `until`."""
        self.held_until = max(self.held_until, until)

    def heard(self, answer: Answer, via: str, now: float) -> list[LinkEvent]:
        """One answer that came over `via`; returns what became of the link if it is given up."""
        if isinstance(answer, Delivered):
            self._delivered(answer, via)
        elif isinstance(answer, Refused):
            self._refused(answer)
        elif isinstance(answer, Rewound):
            return self._rewound(answer, now)
        elif isinstance(answer, Oversized):
            self._oversized(answer, now)
        else:
            self._forked(answer)
        return []

    def _delivered(self, event: Delivered, via: str) -> None:
        self._refusals = 0
        unnamed = event.dropped - len(event.faults)
        limited = unnamed if event.reason in LIMITS else 0
        left_out = Loss(event.reason if limited else counters.REFUSED, unnamed) if unnamed > 0 else None
        count = self._dispatch.delivered(event.batches, event.faults, left_out)
        self._counters.delivered += count
        self._status.delivered(via, count)
        if limited:
            self._alarms.rate_limited(limited, event.reason)
        elif not event.dropped and count:
            self._alarms.accepted_whole()

    def _refused(self, event: Refused) -> None:
        reason = _REASONS.get(event.code, event.code.lower() or counters.REFUSED)
        self._dispatch.refused(event.batches, reason, event.detail)
        if reason in LIMITS:
            self._alarms.rate_limited(sum(batch.count for batch in event.batches), event.detail)

    def _rewound(self, event: Rewound, now: float) -> list[LinkEvent]:
        self._dispatch.take_back(event.batches)
        self._refusals += 1
        if event.retry_after_s is not None:
            self.held_until = now + event.retry_after_s
            self._links.rest(self.held_until)
            return []
        link = self._links.active
        if link is None:
            return []
        if link.one_at_a_time and self._refusals > self._retry.max_retries:
            return self._links.give_up(event.detail, now)
        if link.one_at_a_time or self._refusals > 1:
            self.held_until = now + self._retry.get_delay(self._refusals - 1)
        return []

    def _oversized(self, event: Oversized, now: float) -> None:
        self._dispatch.hold(event.batches, now)
        points = sum(batch.count for batch in event.batches)
        self._status.held(points, event.detail)
        self._alarms.fault(
            DeliveryError(
                f"a batch of {points} points is more than the gateway takes in one message: it is kept here and tried "
                f"again every {HOLD_S / 60:g} minutes, and the rest goes on; raise the gateway's limit ({event.detail})"
            )
        )

    def _forked(self, event: Forked) -> None:
        counters.log.warning(
            "stream %s was used by another copy of this device; sending %d batches under new names",
            event.stream[:8],
            len(event.batches),
        )
        self._dispatch.rename(event.batches)
