"""The folder beside an export's file that keeps what was fetched until the file is made: `<file>.part/`.

    plan.json       the question, and the parts that it was cut into; written once, before anything is fetched
    00001.csv …     one file a part, as the gateway sent it (`.parquet`; `.events` for events)
    *.new           a part, or the plan, that is being written
    whole           the file that is being made of all parts
    lock            held by the process that works here

A part is there under its name only when all of it is on disk: it is written under another, flushed, and renamed. So an
export that was interrupted, however, goes on with the parts that are missing. The file gets its own name in one step,
when all of it is on disk, and then the folder goes. Nothing but what is listed here is ever removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from plexus.adapters.filelock import alone
from plexus.adapters.privatefile import flush_directory
from plexus.api.export import plan as plans
from plexus.api.export.order import Order
from plexus.api.export.plan import Part, Plan
from plexus.domain.errors import ExportError, ProtocolError

VERSION = 1
PLAN = "plan.json"
_ours = re.compile(r"([0-9]{5,}\.(csv|parquet|events)|plan\.json)(\.new)?|whole|lock")


@attrs.frozen
class Folder:
    """One such folder."""

    path: Path
    ending: str

    def part(self, number: int, part: Part) -> Path:
        """Where the part with this number, from 1 on, is kept."""
        return self.path / f"{number:05}.{'events' if part.kind == 'events' else self.ending}"

    @property
    def whole(self) -> Path:
        """Where the file is made."""
        return self.path / "whole"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder if it is missing, and keep others out of it; ExportError when one is in it."""
        self._make()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(alone(self.path / "lock", wait=False))
            except BlockingIOError as exc:
                raise ExportError(f"another export is writing into {self.path}: wait until it is done") from exc
            stack.callback(self._leave)
            yield

    def kept_plan(self, question: Mapping[str, Any]) -> Plan | None:
        """The plan of this question if one is there; None when there is none, or only that of another question."""
        try:
            raw = json.loads((self.path / PLAN).read_bytes())
            return plans.from_json(raw["plan"]) if raw["question"] == question else None
        except (FileNotFoundError, ValueError, KeyError, TypeError, ProtocolError):
            return None

    def begin(self, question: Mapping[str, Any], plan: Plan) -> None:
        """Forget what was here, and keep this plan."""
        self._clear()
        text = json.dumps({"question": question, "plan": plan.to_json()}, separators=(",", ":"))
        place = self.path / PLAN
        with new_of(place).open("w", encoding="utf-8") as file:
            file.write(text)
            flush(file)
        self.keep(place)

    def keep(self, place: Path) -> None:
        """What was written beside it is whole, and is this file from now on."""
        new_of(place).replace(place)
        flush_directory(self.path)

    def finish(self, target: Path, *, overwrite: bool) -> None:
        """Give the whole file its name, and remove this folder. FileExistsError when the name was taken meanwhile."""
        if overwrite:
            self.whole.replace(target)
        else:
            _move_to_a_free_name(self.whole, target)
        flush_directory(target.parent)
        self._clear()

    def _leave(self) -> None:
        """Remove the folder when nothing is kept in it."""
        if not (self.path / PLAN).exists():
            with contextlib.suppress(OSError):
                (self.path / "lock").unlink()
                self.path.rmdir()

    def _make(self) -> None:
        if not os.path.lexists(self.path):
            self.path.mkdir(mode=0o700)
            return
        if not self.path.is_dir():
            raise ExportError(f"{self.path} is in the way, where parts are kept: move it away, or name another file")
        foreign = next((name for name in os.listdir(self.path) if not _ours.fullmatch(name)), None)  # noqa: PTH208
        if foreign is not None:
            raise ExportError(
                f"{self.path} holds {foreign!r}, which is no part of an export: move it away, or name another file"
            )

    def _clear(self) -> None:
        for place in self.path.iterdir():
            if _ours.fullmatch(place.name) and place.name != "lock":
                place.unlink()


def folder_of(wanted: Order) -> Folder:
    """The folder of an export."""
    ending = "csv" if wanted.format == "csv" else "parquet"
    return Folder(wanted.path.with_name(f"{wanted.path.name}.part"), ending)


def question_of(wanted: Order, host: str) -> dict[str, Any]:
    """What has to be the same for an export to go on where an earlier one stopped."""
    return {
        "version": VERSION,
        "host": host,
        "format": wanted.format,
        "sources": None if wanted.sources is None else list(wanted.sources),
        "metrics": None if wanted.metrics is None else list(wanted.metrics),
        "window": dict(wanted.window.asked),
        "resolution": wanted.resolution,
        "run": wanted.run_id,
    }


def new_of(place: Path) -> Path:
    """Where a file is written before it is whole."""
    return place.with_name(f"{place.name}.new")


def flush(file: Any) -> None:
    """What was written is on disk."""
    file.flush()
    os.fsync(file.fileno())


def _move_to_a_free_name(file: Path, target: Path) -> None:
    try:
        # A second name, unlike a rename, is refused when the name is taken.
        os.link(file, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names
        if os.path.lexists(target):
            raise FileExistsError(str(target)) from None
        file.rename(target)
    else:
        file.unlink()
