"""The status line: changes of state, told once each, to the person at the machine (protocol page, section 8b)."""

from __future__ import annotations

import re
import threading

from plexus.domain.names import KEY_PREFIX
from plexus.ports.status import StatusSink

MAX_DETAIL_CHARS = 300
_WAYS = {"ws": "WebSocket", "http": "HTTP"}
_key = re.compile(re.escape(KEY_PREFIX) + r"\S+")


class StatusLine:
    """Turns what happens into lines. Called by any thread; what repeats a state that was told is not told again."""

    def __init__(self, sink: StatusSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._link: tuple[str, str] | None = None
        self._was_connected = False
        self._landed = False
        self._fallen_back = False
        self._held = False
        self._buffering = False
        self._key_rejected = False
        self._source_refused = False
        self._lost_for = ""
        self._cameras: set[str] = set()
        self._runs: set[str] = set()
        self._refusals: set[str] = set()

    def connected(self, source_id: str, via: str) -> None:
        """The gateway knows us by `source_id`; `via` is "ws" or "http"."""
        with self._lock:
            self._key_rejected = self._source_refused = self._held = False
            if via == "ws":
                self._fallen_back = False
            if self._link == (source_id, via):
                return
            word = "Reconnected" if self._was_connected else "Connected"
            over = "" if via == "ws" else f" over {_WAYS.get(via, via)}"
            self._link, self._was_connected = (source_id, via), True
            self._say(f"✓ {word} to gateway as {source_id}{over}")

    def disconnected(self, reason: str) -> None:
        """The link is gone. Told only if points then have to wait."""
        with self._lock:
            self._link = None
            self._lost_for = reason

    def delivered(self, via: str, points: int) -> None:
        """This many points were stored."""
        with self._lock:
            if points <= 0:
                return
            self._key_rejected = False
            if self._buffering:
                self._buffering = False
                self._say(f"✓ Sending again (via {via})")
            if not self._landed:
                self._landed = True
                self._say(f"✓ First points landed (via {via})")

    def fell_back(self, reason: str) -> None:
        """The socket cannot be had; points go by HTTP until it can."""
        with self._lock:
            if not self._fallen_back:
                self._fallen_back = True
                self._say(f"! No WebSocket, sending over HTTP: {reason}")

    def buffering(self, points: int) -> None:
        """This many points have to wait on this machine."""
        with self._lock:
            if not self._buffering and points > 0:
                self._buffering = True
                reason = f": {self._lost_for}" if self._lost_for else ""
                noun = "point" if points == 1 else "points"
                self._say(f"! Buffering, {points:,} {noun} so far, until the gateway takes them{reason}")

    def held(self, points: int, detail: str) -> None:
        """A batch of this many points is more than the gateway takes; told until one is taken over a new connection."""
        with self._lock:
            if not self._held:
                self._held = True
                self._say(f"! {points:,} points wait: the gateway takes no message of that size: {detail}")

    def spool(self, *, failing: bool) -> None:
        """The spool takes nothing in and points wait in memory, or it works again."""
        with self._lock:
            self._say(
                "! Cannot write to disk: points wait in memory only, and end with the program"
                if failing
                else "✓ Writing to disk again"
            )

    def key_rejected(self, detail: str) -> None:
        """The gateway refuses the key; nothing is sent and nothing is thrown away."""
        with self._lock:
            if not self._key_rejected:
                self._key_rejected = True
                reason = f" ({detail})" if detail else ""
                self._say(
                    f"✗ API key rejected{reason}: data stays here; set PLEXUS_API_KEY or run `plexus init --force`"
                )

    def source_refused(self, detail: str) -> None:
        """The gateway has no room for one more source; the key is fine, nothing is sent and nothing is thrown away."""
        with self._lock:
            if not self._source_refused:
                self._source_refused = True
                reason = f": {detail}" if detail else ""
                self._say(f"✗ The gateway takes no more sources{reason}; data stays here until it does")

    def frame_too_large(self, size: int, camera_id: str) -> None:
        """A camera's frame of `size` bytes is more than the gateway relays; told once a camera."""
        with self._lock:
            if camera_id not in self._cameras:
                self._cameras.add(camera_id)
                self._say(
                    f"! Frame too large: {size:,} bytes from {camera_id}, which a gateway may drop; send smaller "
                    "frames, or install Pillow (extra `video`) to have them made smaller"
                )

    def commands_refused(self, detail: str) -> None:
        """The gateway does not take a command that this device declares; told once each."""
        with self._lock:
            if detail not in self._refusals:
                self._refusals.add(detail)
                self._say(f"! Command not taken by the gateway: {detail}")

    def run_not_announced(self, run_id: str, detail: str) -> None:
        """The app was not told of a run; its points carry its id all the same. Told once a run."""
        with self._lock:
            if run_id not in self._runs:
                self._runs.add(run_id)
                self._say(f"! Run {run_id} not announced: {detail}")

    def _say(self, text: str) -> None:
        # A gateway's words may hold the key, or what moves a terminal's cursor.
        shown = _key.sub(f"{KEY_PREFIX}…", text)
        shown = "".join(char if char.isprintable() else " " for char in shown)
        self._sink.line(shown if len(shown) <= MAX_DETAIL_CHARS else shown[: MAX_DETAIL_CHARS - 1] + "…")
