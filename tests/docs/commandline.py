"""What docs/reference/command-line.md must say of each command, made from the parser.

python -m tests.docs.commandline      prints the sections, to be pasted into the page
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import attrs

from plexus.cli import app


@attrs.frozen
class Command:
    """One command: its words after `plexus`, other names for it, and its parser."""

    words: tuple[str, ...]
    aliases: tuple[str, ...]
    parser: argparse.ArgumentParser

    @property
    def title(self) -> str:
        """The heading of its section."""
        return f"`plexus {' '.join(self.words)}`"


def commands(parser: argparse.ArgumentParser | None = None, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Every command that does something itself, in the order of the help."""
    found = _subcommands(parser or app.parser())
    if not found and parser is not None:
        yield Command(words, (), parser)
    for name, (aliases, below) in found.items():
        for command in commands(below, (*words, name)):
            yield attrs.evolve(command, aliases=aliases) if command.words == (*words, name) else command


def table(command: Command) -> str:
    """The command's arguments as the page's table; "" for a command without any."""
    rows = [f"| {_shown(action)} | {_meaning(action)} |" for action in _arguments(command.parser)]
    return "\n".join(["| Argument | Meaning |", "|---|---|", *rows]) if rows else ""


def options(command: Command) -> set[str]:
    """The options that it takes, `-h` and `--help` too."""
    return {option for action in command.parser._actions for option in action.option_strings}


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]


def _shown(action: argparse.Action) -> str:
    takes = action.nargs != 0
    value = (action.metavar or "|".join(action.choices or ()) or action.dest.upper()) if takes else ""
    text = f"{', '.join(action.option_strings)} {value}".strip() if action.option_strings else str(value)
    if not action.option_strings and action.nargs in ("*", "+"):
        text = f"{text}…" if action.nargs == "+" else f"[{text}…]"
    return f"`{text}`".replace("|", "\\|")


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("|", "\\|")
    return text % {"default": action.default} if "%(" in text else text


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, tuple[tuple[str, ...], argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            by_parser: dict[int, list[str]] = {}
            for name, below in action.choices.items():
                by_parser.setdefault(id(below), []).append(name)
            return {names[0]: (tuple(names[1:]), action.choices[names[0]]) for names in by_parser.values()}
    return {}


if __name__ == "__main__":
    for one in commands():
        print(f"\n## {one.title}\n\n{table(one)}")  # noqa: T201 - this is what it is for
