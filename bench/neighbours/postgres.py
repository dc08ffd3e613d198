"""PostgreSQL: `COPY` into one table, a transaction a batch, each flushed before it is answered (its default)."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from bench.neighbours.load import CONNECTIONS, TAGS, Load, timed
from bench.neighbours.process import ServerProcess, free_port, listens, need

TABLE = """CREATE TABLE points (
    t timestamptz NOT NULL, source text NOT NULL, metric text NOT NULL, value double precision, tags jsonb)"""
INDEX = "CREATE INDEX ON points (source, metric, t)"
COPY = "COPY points (t, source, metric, value, tags) FROM STDIN"


class Postgres:
    """A server over `folder`; `with` starts and stops it. It refuses to run as root, so there it is `postgres`."""

    name = "PostgreSQL, COPY"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        need("pg_lsclusters", "postgresql")
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._port = free_port()
        self._folder = folder
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []

    def __enter__(self) -> Postgres:
        data = self._folder / "data"
        data.mkdir()
        if self._as:
            subprocess.run(["chown", "postgres", str(data)], check=True)
            for parent in [self._folder, *self._folder.parents]:
                if parent.stat().st_uid == os.getuid() and str(parent) != "/":
                    parent.chmod(parent.stat().st_mode | 0o011)
        initdb = [*self._as, str(self._programs / "initdb"), "-A", "trust", "-U", "postgres", "-D", str(data)]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
        settings = [f"-cport={self._port}", "-clisten_addresses=127.0.0.1", f"-cunix_socket_directories={data}"]
        settings += ["-cshared_buffers=1GB", "-cmax_wal_size=8GB"]
        self._server = ServerProcess(
            [*self._as, str(self._programs / "postgres"), "-D", str(data), *settings], self._folder
        )
        self._server.wait_until(self._lets_in)
        with self._connect() as link:
            link.execute(TABLE)
            link.execute(INDEX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()

    def write(self, load: Load, batch: int) -> float:
        """Points a second, committed; raises when not all of them are there."""
        links = [self._connect() for _ in range(CONNECTIONS)]
        batches = [_bodies(load, load.source(number), batch) for number in range(CONNECTIONS)]
        try:
            took = timed(links, batches, _copy)
            found = links[0].execute("SELECT count(*) FROM points WHERE source LIKE %s", [f"{load.run}-%"]).fetchone()
        finally:
            for link in links:
                link.close()
        if found is None or found[0] != load.total:
            raise AssertionError(f"{load.total} sent, {found} stored")
        return load.total / took

    def _lets_in(self) -> bool:
        """It listens before it is ready."""
        if not listens(self._port):
            return False
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(host="127.0.0.1", port=self._port, user="postgres", dbname="postgres", autocommit=True)


def _copy(link: psycopg.Connection[Any], body: bytes) -> None:
    with link.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(body)


def _bodies(load: Load, source: str, batch: int) -> list[bytes]:
    tags = "{" + ",".join(f'"{name}":"{value}"' for name, value in TAGS.items()) + "}"
    rows = [
        "\t".join((_time(ms), source, metric, repr(value), tags if tagged else "\\N"))
        for metric, value, ms, tagged in load.points()
    ]
    return [("\n".join(rows[first : first + batch]) + "\n").encode() for first in range(0, len(rows), batch)]


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat()
