"""What several commands take: how they are added, and how their text becomes what the client takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What add_subparsers returns has no public name.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

Run = Callable[[argparse.Namespace], int]


def command(
    commands: Commands, name: str, run: Run, summary: str, text: str, *, aliases: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    """Add a command. `summary` stands in the list of commands, `text` (with examples) in its own help."""
    parser = commands.add_parser(
        name,
        aliases=list(aliases),
        help=summary,
        description=summary[:1].upper() + summary[1:] + ".",
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def takes_more(parser: argparse.ArgumentParser, *singles: str, last: str, read: Callable[[str], object] = str) -> None:
    """Let the words of `last`, a list, stand behind options too, as `tail SOURCE --json METRIC`.

    argparse gives a list that may be empty its end at the first option. `singles` come before it and may be left out.
    """
    parser.set_defaults(late=(singles, last, read))


def take_late(arguments: argparse.Namespace, words: list[str]) -> bool:
    """Put words that argparse found no place for where `takes_more` said; False when they have none.

    Raises ArgumentTypeError for one that cannot be read.
    """
    late = getattr(arguments, "late", None)
    if late is None or any(word.startswith("-") for word in words):
        return False
    singles, last, read = late
    for name in singles:
        if getattr(arguments, name) is None and words:
            setattr(arguments, name, words.pop(0))
    getattr(arguments, last).extend(map(read, words))
    return True


def add_window(parser: argparse.ArgumentParser) -> None:
    """--last, --start and --end."""
    parser.add_argument("--last", metavar="LENGTH", help="the stretch up to now: 90s, 15m, 1h, 7d (default: 1h)")
    parser.add_argument("--start", metavar="TIME", help="from when: 2026-05-01T12:00:00Z, or epoch seconds")
    parser.add_argument("--end", metavar="TIME", help="until when (default: now)")


def instant(text: str | None) -> str | float | None:
    """A time of the command line: epoch numbers as numbers, all else as ISO text."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def source_names(text: str) -> tuple[str, ...]:
    """Names of sources with commas between, which no such name holds; argparse shows the error."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no source")
    return names


def instant_or_length(text: str) -> str | float:
    """A time, or how long ago: epoch numbers as numbers, all else as text."""
    found = instant(text)
    assert found is not None
    return found


def count(text: str) -> int:
    """A whole number from 1 on; argparse shows the error."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def param(text: str) -> tuple[str, object]:
    """One `key=value` of a command: a value that is JSON is that, anything else is text; argparse shows the error."""
    from plexus.domain.errors import ProtocolError
    from plexus.protocol import jsontext

    key, raw = tag(text)
    try:
        return key, jsontext.loads(raw)
    except ProtocolError:
        return key, raw


def port(text: str) -> int:
    """A port number; argparse shows the error."""
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def seconds(text: str) -> float:
    """A length of time in seconds; argparse shows the error."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def tag(text: str) -> tuple[str, str]:
    """One `key=value` of --tag; argparse shows the error."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value")
    return key, value
