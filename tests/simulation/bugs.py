"""Bugs that a delivery engine can have, as edits of the shipped code: the simulation must find each.

`PLANTED` are designs that are wrong, `MUTATIONS` are single lines of the shipped code that are wrong. An edit names the
shipped text that it replaces; when that text is changed, the test says so, and the line is to be chosen anew.
"""

from __future__ import annotations

import attrs

from tests.simulation.surgery import Edit

COMMITTER = "plexus.gateway.committer"
DEVICES = "plexus.gateway.devices"
DISPATCH = "plexus.device.dispatch"
FLUSHES = "plexus.device.flushes"
LANES = "plexus.device.lanes"
LEDGER = "plexus.protocol.ledger"
LINKS = "plexus.device.links"
LOSSES = "plexus.device.losses"
REQUEST = "plexus.protocol.request"
SEALER = "plexus.device.sealer"
SESSION = "plexus.protocol.device"
SHELF = "plexus.device.shelf"
STORE = "plexus.adapters.store.memory"

LOST, TWICE, STUCK, SPINS = "lost: ", "times", "stuck: ", "spins"
UNTOLD, UNTRUE = "not declared: ", "the store "
ANY = (LOST, TWICE, STUCK, SPINS, UNTOLD, UNTRUE, "counted", "stored after")


@attrs.frozen
class Bug:
    """A change of the shipped code that breaks a promise.

    `words`: an episode that says one of them is looked for, from seed `start` on, in at most `within` episodes.
    """

    name: str
    edits: tuple[Edit, ...]
    words: tuple[str, ...] = ANY
    start: int = 1
    within: int = 3_000


NO_FORKS = Edit(
    LEDGER,
    'return "duplicate" if self._kept_print(name.n) == print_of(name.digest) else "fork"',
    'return "duplicate"',
)
"""What most planted designs need to do harm: else the digest finds them out, and the device sends under a new name."""

PLANTED = (
    Bug(
        "a counter is resumed from disk",
        (NO_FORKS, Edit(SEALER, "self.stream = new_stream()", 'self.stream = "5" * 32')),
        (LOST,),
    ),
    Bug(
        "an acknowledgement without its stream",
        (
            Edit(
                SESSION,
                "item.batch.stream == frame.stream and item.batch.n <= frame.upto",
                "item.batch.n <= frame.upto",
            ),
        ),
        (LOST, STUCK, UNTOLD),
        start=780,
    ),
    Bug(
        "acknowledging before the commit",
        (
            Edit(
                DEVICES,
                "        core.committer.take(submission, functools.partial(self._committed, event))",
                "        core.committer.take(submission, functools.partial(self._committed, event))\n"
                '        self._session.settle(event.ticket, Settlement("store", 0), self._core.monotonic())',
            ),
        ),
        (LOST, UNTOLD),
    ),
    Bug(
        "deleting from the spool before the acknowledgement",
        (
            Edit(
                SHELF,
                "        self._launch(batch)\n        if key_of(batch) == self._offered:",
                "        self._launch(batch)\n        self.buffer.release([batch])\n"
                "        if key_of(batch) == self._offered:",
            ),
        ),
        (LOST, STUCK, SPINS),
    ),
    Bug(
        "nothing is spooled after 250 ms",
        (
            Edit(DISPATCH, "if born is not None and born + SPOOL_AFTER_S <= now:", "if born is None:"),
            Edit(DISPATCH, "times.append(None if born is None else born + SPOOL_AFTER_S)", "times.append(None)"),
        ),
        (LOST,),
    ),
    Bug(
        "a batch is renamed at every reconnect",
        (
            Edit(
                DISPATCH,
                "        self._backlog.unsend(batches)",
                "        for batch in batches:\n            self._backlog.rename(batch, resealed(batch))",
            ),
        ),
        (TWICE,),
    ),
    Bug(
        "base counts as stored",
        (
            NO_FORKS,
            Edit(
                LEDGER,
                "self.watermark = max(self.watermark, name.base - 1)",
                "self.watermark = max(self.watermark, name.base)",
            ),
        ),
        (LOST,),
    ),
    Bug(
        "a repeat is stored again",
        (
            Edit(STORE, 'if verdict == "store" else 0', 'if verdict != "gap" else 0'),
            Edit(LEDGER, 'return "duplicate" if', 'return "store" if'),
        ),
    ),
    Bug(
        "the gateway guesses where an unknown stream starts, and fresh data goes on under the old one",
        (
            NO_FORKS,
            Edit(
                LEDGER,
                "self.watermark = max(self.watermark, name.base - 1)",
                "self.watermark = self.watermark or name.n - 1",
            ),
            Edit(SEALER, "            self.stream = self._new_stream()\n            self._n = 0", "            pass"),
        ),
        (LOST,),
    ),
    Bug(
        "the old link is given up at a hand-over with what is on its way",
        (
            Edit(
                LINKS, "        if self._active is not None and self._active.in_flight():\n            return []\n", ""
            ),
            Edit(LINKS, "if not isinstance(event, Ended) or event.batches]", "if not isinstance(event, Ended)]"),
        ),
        (STUCK, LOST),
        start=140,
    ),
    Bug(
        "a declaration of losses that is on its way is forgotten at a hand-over",
        (Edit(LINKS, "if not isinstance(event, Ended) or event.batches]", "if not isinstance(event, Ended)]"),),
        (STUCK,),
        start=330,
    ),
    Bug(
        "a loss is counted and not recorded",
        (Edit(LOSSES, "self._backlog.lose(self._counters.take_unrecorded())", "self._counters.take_unrecorded()"),),
        (UNTOLD, "counted"),
    ),
    Bug(
        "a loss is on record only 250 ms after it was counted, not 250 ms after its points were sent",
        (Edit(DISPATCH, "        self._losses.since(self._live.oldest_born())", "        pass"),),
        (UNTOLD,),
        start=11_900,
    ),
    Bug(
        "a durable flush is answered before anything is safe",
        (
            Edit(FLUSHES, "                    self._dispatch.make_safe()", "                    pass"),
            Edit(FLUSHES, "(flush.durable and self._dispatch.is_safe(mark))", "flush.durable"),
        ),
        (LOST,),
        start=330,
    ),
    Bug(
        "close() forgets what it could not deliver",
        (Edit(DISPATCH, "        self._retreat()\n        self._losses.record()", "        self._losses.record()"),),
        (LOST,),
        start=280,
    ),
)


def _line(name: str, module: str, old: str, new: str, start: int = 1) -> Bug:
    return Bug(name, (Edit(module, old, new),), start=start)


MUTATIONS = (
    _line("ledger: a repeat", LEDGER, "if name.n <= self.watermark:", "if name.n < self.watermark:"),
    _line(
        "ledger: the watermark",
        LEDGER,
        "        self.watermark = name.n\n",
        "        self.watermark = name.n + 1\n",
    ),
    _line("store: what is stored", STORE, 'if receipt.verdict == "store"]', 'if receipt.verdict != "gap"]'),
    _line(
        "committer: a commit that failed",
        COMMITTER,
        "            done(error)",
        '            done(Receipt("store", 1, 1))',
    ),
    _line(
        "session: what comes back at the end of a link",
        SESSION,
        "Ended(self._release_all(), reason, goodbye)",
        "Ended(self._release_all()[1:], reason, goodbye)",
    ),
    _line(
        "request: what is a success",
        REQUEST,
        'return body is not None and body.get("success") is True',
        "return answer.status == 200",
        start=880,
    ),
    _line(
        "dispatch: what leaves the lane is kept",
        DISPATCH,
        "            self._backlog.keep(batches, sent)",
        "            self._backlog.keep(batches[1:], sent)",
    ),
    _line(
        "sealer: a new stream for what overtakes",
        SEALER,
        "            self.stream = self._new_stream()\n            self._n = 0",
        "            self._n = 0",
    ),
    _line(
        "shelf: what is not on its way any more",
        SHELF,
        "for name in names[names.index(key) :]:",
        "for name in names[names.index(key) + 1 :]:",
        start=450,
    ),
    _line(
        "lane: what is old enough",
        LANES,
        "for item in self._sent.values() if item.born <= born]",
        "for item in self._sent.values() if item.born <= born - 1]",
    ),
    _line(
        "links: a link that broke is made anew",
        LINKS,
        "            self._failed(link, events, now, worked=True)",
        "            self._primary_at = self._fallback_at = 1e9",
    ),
    _line("losses: what a batch declares", LOSSES, "if due and takes_gaps(link)", "if not due and takes_gaps(link)"),
)
