"""What the end of a connection means: a refusal is an error and the end, anything else is tried again after a pause."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plexus.domain.errors import ApiError, AuthenticationError, PlexusError, TransportClosed, TransportError
from plexus.domain.live import StreamNotice
from plexus.protocol import live
from plexus.protocol.backoff import backoff_s

LONGEST_PAUSE_S = 10.0
"""Someone is looking at a live view: a minute between tries would feel like for ever."""

GOING_AWAY = frozenset({1001, 1012})
"""The server leaves and another takes its place: come back within half a second, spread at random."""

_KEY = "the API key is not known or was revoked: sign in with `plexus init`, or set PLEXUS_API_KEY"
_PLAN = "access is off for this organisation: check its plan"
_ENDINGS: Mapping[int, tuple[int, str]] = {
    live.UNAUTHORIZED: (401, _KEY),
    live.VIDEO_UNAUTHORIZED: (401, _KEY),
    live.PLAN: (402, _PLAN),
    live.VIDEO_PLAN: (402, _PLAN),
    live.REFUSED: (403, "the key may not read this source, or the server does not take what was asked for"),
}
"""Close codes that no new try changes: the HTTP status that says the same, and what to do."""


class Mender:
    """Counts the tries since the connection last worked. `rng` gives numbers from 0 up to 1, to spread the pauses."""

    def __init__(self, rng: Callable[[], float]) -> None:
        self._random = rng
        self._attempt = 0

    def well(self) -> None:
        """The connection works."""
        self._attempt = 0

    def lost(self, exc: TransportError) -> StreamNotice:
        """The notice of a loss, with the pause before the next try; raises AuthenticationError or ApiError instead when
        the server refuses the stream."""
        if isinstance(exc, TransportClosed) and (exc.code in _ENDINGS or 4000 <= exc.code < 5000):
            raise _refusal(exc) from exc
        delay = self._delay_s(exc)
        self._attempt += 1
        return StreamNotice("lost", str(exc), self._attempt, delay)

    def _delay_s(self, exc: TransportError) -> float:
        if self._attempt == 0 and isinstance(exc, TransportClosed) and exc.code in GOING_AWAY:
            return 0.1 + 0.4 * self._random()
        return min(LONGEST_PAUSE_S, backoff_s(self._attempt, self._random))


def _refusal(exc: TransportClosed) -> PlexusError:
    status, hint = _ENDINGS.get(exc.code, (0, "the server refuses this stream"))
    text = f"{exc}: {hint}"
    return AuthenticationError(text) if status == 401 else ApiError(text, status=status)
