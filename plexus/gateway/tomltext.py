"""The configuration file's text: reading it, finding a key's line in it, writing it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomllib  # type: ignore[import-not-found]  # the gateway runs on 3.11 and later, types are checked for 3.10

from plexus.domain.errors import ConfigurationError

_section = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]")


def load(path: Path) -> tuple[str, dict[str, Any]]:
    """A file's text, and what it says. Raises ConfigurationError naming the file, and the line where TOML ends."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"the configuration {path} cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"the configuration {path} is not UTF-8 text") from exc
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(f"the configuration {path} is not TOML: {exc}") from exc


def line_of(text: str, key: str) -> int:
    """The line, from 1, on which `section.name` or `name` is written; that of its section, or 1, where it is hidden."""
    section, _, name = key.rpartition(".")
    here, section_line = "", 1
    written = re.compile(rf"""\s*(?:["']?{re.escape(section)}["']?\s*\.\s*)?["']?{re.escape(name)}["']?\s*[=.]""")
    for number, line in enumerate(text.splitlines(), start=1):
        found = _section.match(line)
        if found is not None:
            here = found.group(1)
            section_line = number if here == section else section_line
        elif written.match(line) and here in (section, ""):
            return number
    return section_line


def dump(rows: Iterable[tuple[str, Any, str]]) -> str:
    """(key, value, where it comes from) as TOML; keys without a section come first."""
    lines: list[str] = []
    here = ""
    for key, value, origin in rows:
        section, _, name = key.rpartition(".")
        if section != here:
            lines.extend(["", f"[{section}]"])
            here = section
        said = f"# {name} =" if value is None else f"{name} = {_written(value)}"
        lines.append(f"{said}  # {_one_line(origin)}")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value.absolute())
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    # JSON's texts, booleans and finite numbers are TOML's too, but for DEL, which TOML wants escaped.
    return json.dumps(value).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
