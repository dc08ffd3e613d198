"""Lives of the gateway's databases beside the store: what is done to each through its adapter, and all that it answers.

Every step is one call that a caller gets an answer to: from then on it is a promise. Some of them are longer than a
page of the file, so that a part of one could be there.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from plexus.adapters.audit import sqlite as audit_file
from plexus.adapters.audit.sqlite import SqliteAudit
from plexus.adapters.commandbook.sqlite import SqliteCommandbook
from plexus.adapters.keyring import sqlite as keyring_file
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.adapters.registry import sqlite as registry_file
from plexus.adapters.registry.sqlite import SqliteRegistry
from plexus.adapters.tallies.sqlite import SqliteTallies
from plexus.domain.metricinfo import MetricInfo
from plexus.domain.run import Criterion, Run
from plexus.ports.audit import AuditEntry
from plexus.ports.commandbook import CommandEntry, Step
from plexus.ports.registry import Move
from plexus.ports.tallies import Tally

NOW_MS = 1_746_969_660_000.0
ORGS, SOURCES, INSTALLS = ("acme", "globex"), ("rig-01", "rig-02", "rig-03"), ("a" * 32, "b" * 32)
LONG = "long " * 1_500
"""Longer than a page of SQLite's."""


class Database(Protocol):
    """What all of them have."""

    def close(self) -> None:
        """Let go of the file."""
        ...


Op = Callable[[Any], object]


@attrs.frozen
class Kind:
    """One database: its file, how it is opened, what a life does to it, and all that can be asked of it.

    `first_format` is the schema that older versions made, None where there is no older one.
    """

    file: str
    open: Callable[[Path], Database]
    ops: Callable[[random.Random], Sequence[Op]]
    answers: Callable[[Any], Any]
    first_format: str | None = None


# --- keys ------------------------------------------------------------------------------------------------------------


def _secret(n: int) -> str:
    return "plx_" + hashlib.sha256(str(n).encode()).hexdigest()


def _keys(luck: random.Random) -> list[Op]:
    def create(n: int) -> Op:
        org, source, name = luck.choice(ORGS), luck.choice([None, *SOURCES]), luck.choice(["key", LONG])
        return lambda keys: keys.create(org, name, ["read", "write"], source_id=source, secret=_secret(n))

    def revoke(place: int) -> Op:
        return lambda keys: keys.revoke(keys.list()[place].key_id)

    def rename() -> Op:
        place, new = (luck.choice(ORGS), luck.choice(SOURCES)), luck.choice(SOURCES)
        return lambda keys: keys.rename(*place, new)

    found = [create(0), create(1)]
    for n in range(2, 18):
        found.append(luck.choices([create(n), revoke(luck.randrange(2)), rename()], [6, 2, 2])[0])
    return found


def _keys_answers(keys: SqliteKeyring) -> Any:
    return keys.list(), [keys.find(_secret(n)) for n in range(18)], keys.generation()


# --- the registry ----------------------------------------------------------------------------------------------------


def _run(luck: random.Random, n: int, source_id: str) -> Run:
    return Run(
        run_id=f"run-{n}",
        name=luck.choice(["flight", LONG]),
        source_id=source_id,
        status=luck.choice(["running", "completed"]),
        started_ms=NOW_MS + n,
        ended_ms=None,
        tags={"n": str(n)},
        metadata={"text": luck.choice(["short", LONG])},
        pass_criteria=(Criterion("rpm", ">", 5.0),),
    )


def _registry(luck: random.Random) -> list[Op]:
    return [op for n in range(5) for op in _source(luck, n)]


def _source(luck: random.Random, n: int) -> list[Op]:
    """The life of one source, from its first claim to another name or to its end."""
    org, source = luck.choice(ORGS), f"source-{n}"
    info, run = MetricInfo("rpm", "1/min", luck.choice([None, LONG]), 0.0, float(n)), _run(luck, n, source)
    move = Move(org, source, luck.choice([None, f"new-{n}", f"new-{n}"]))
    return [
        # Two installs that declare one name, of which the second is given another.
        lambda names: names.claim(org, source, INSTALLS[0]),
        lambda names: names.claim(org, source, INSTALLS[1]),
        lambda names: names.register(org, source, '{"of":"a person"}'),
        lambda names: names.put_metric(org, source, info),
        lambda names: names.put_run(org, run),
        lambda names: names.begin_move(move),
        lambda names: names.end_move(move),
    ]


def _registry_answers(names: SqliteRegistry) -> Any:
    places = [(org, f"source-{n}", install) for org in ORGS for n in range(5) for install in INSTALLS]
    return (
        [(names.registered(org), names.runs(org, None, None)) for org in ORGS],
        [names.given(*place) for place in places],
        dict(names.metric_infos()),
        list(names.moves()),
    )


# --- commands, the audit trail, tallies ------------------------------------------------------------------------------


def _command(luck: random.Random, n: int) -> CommandEntry:
    return CommandEntry(
        org=luck.choice(ORGS),
        source_id=luck.choice(SOURCES),
        run_id=f"run-{n}",
        command="move",
        params={"how": luck.choice(["fast", LONG])},
        kind="run",
        actor="key",
        asked_ms=NOW_MS + n,
        expires_ms=NOW_MS + n + 1_000,
        steps=(Step(NOW_MS + n, "queued"),),
    )


def _commands(luck: random.Random) -> list[Op]:
    found: list[Op] = []
    entry = _command(luck, 0)
    for n in range(20):
        what = luck.choices(["put", "again", "other"], [8, 6, 3])[0]
        if what == "put":
            entry = _command(luck, n)
        elif what == "again":
            ended = Step(NOW_MS + n, "succeeded")
            entry = attrs.evolve(entry, state="succeeded", result={"n": n}, steps=(*entry.steps, ended))
        found.append(_other(luck, n) if what == "other" else _put(entry))
    return found


def _put(entry: CommandEntry) -> Op:
    return lambda book: book.put(entry)


def _other(luck: random.Random, n: int) -> Op:
    """What else is done to a book."""
    org, source = luck.choice(ORGS), luck.choice(SOURCES)
    ops: list[Op] = [
        lambda book: book.rename(org, source, f"bench-{n}"),
        lambda book: book.remove(org, source),
        lambda book: book.forget(NOW_MS + n - 10),
    ]
    return luck.choice(ops)


def _commands_answers(book: SqliteCommandbook) -> Any:
    names = (*SOURCES, *(f"bench-{n}" for n in range(20)))
    return [list(book.entries(org, name)) for org in ORGS for name in names], list(book.queued())


def _audit(luck: random.Random) -> list[Op]:
    def record(n: int) -> Op:
        entry = AuditEntry(
            NOW_MS + n, luck.choice(ORGS), "key", "source.rename", "rig-01", {"n": n, "text": luck.choice(["", LONG])}
        )
        return lambda audit: audit.record(entry)

    def forget(audit: SqliteAudit) -> int:
        return audit.forget(NOW_MS + 10)

    return [record(n) if luck.random() < 0.9 else forget for n in range(20)]


def _audit_answers(audit: SqliteAudit) -> Any:
    return [list(audit.entries(org)) for org in ORGS]


def _tallies(luck: random.Random) -> list[Op]:
    def save(n: int) -> Op:
        # Of many sources at once, as a gateway saves them: more than a page.
        sources = [f"rig-{i:03}" for i in luck.sample(range(200), luck.choice((1, 150)))]
        told = {(luck.choice(ORGS), source): Tally(batches=n, seen_ms=NOW_MS + n) for source in sources}
        return lambda tallies: tallies.save(told)

    def rename() -> Op:
        place = (luck.choice(ORGS), f"rig-{luck.randrange(200):03}")
        return lambda tallies: tallies.rename(*place, "rig-000")

    def remove() -> Op:
        place = (luck.choice(ORGS), f"rig-{luck.randrange(200):03}")
        return lambda tallies: tallies.remove(*place)

    return [save(0), *(luck.choices([save(n), rename(), remove()], [6, 2, 2])[0] for n in range(1, 18))]


def _tallies_answers(tallies: SqliteTallies) -> Any:
    return dict(tallies.load())


KINDS: Mapping[str, Kind] = {
    "keys": Kind(
        "keys.db", lambda path: SqliteKeyring(path, lambda: NOW_MS), _keys, _keys_answers, keyring_file._VERSION_1
    ),
    "registry": Kind("registry.db", SqliteRegistry, _registry, _registry_answers, registry_file._VERSION_1),
    "commands": Kind("commands.db", lambda path: SqliteCommandbook(path, kept=5), _commands, _commands_answers),
    "audit": Kind("audit.db", SqliteAudit, _audit, _audit_answers, audit_file.SCHEMA),
    "tallies": Kind("tallies.db", SqliteTallies, _tallies, _tallies_answers),
}
