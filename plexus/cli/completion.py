"""`plexus completion`: what the Tab key completes in bash, zsh and fish.

The shell's script asks this command what may come next, so it never gets old: options and choices come from the parser,
names of sources and metrics from the gateway, which is given a second for it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from plexus.cli import output
from plexus.cli.arguments import command

if TYPE_CHECKING:
    from plexus.cli.arguments import Commands

TEXT = """\
Put the script where the shell reads it when it starts; it completes commands, options, and the names of sources and
metrics that the gateway has.

examples:
  plexus completion bash >> ~/.bashrc
  plexus completion zsh >> ~/.zshrc            after the line with compinit
  plexus completion fish > ~/.config/fish/completions/plexus.fish
"""

FILES = ":files"
"""In place of words: here a file is named, and the shell knows which there are."""

NAMES_WITHIN_S = 1.0
_harmless = re.compile(r"[A-Za-z0-9_./:@%+,-]+")
"""Names that are put into a command line as they are. bash quotes nothing, and a device chose them: one like `$(…)`
would be run with the next Enter."""

_TAKES_FILES = frozenset({"FILE", "DIR", "PLACE"})

BASH = """\
# Completion of plexus for bash.
_plexus() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        [ "$word" = ":files" ] && { COMPREPLY=(); return; }
        COMPREPLY+=("$word")
    done < <(plexus completion bash --for "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _plexus plexus
"""

ZSH = """\
# Completion of plexus for zsh.
_plexus() {
    local -a found
    found=("${(@f)$(plexus completion zsh --for "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ "${found[1]}" == ":files" ]]; then
        _files
    elif [[ -n "${found[1]}" ]]; then
        _describe plexus found
    fi
}
compdef _plexus plexus
"""

FISH = """\
# Completion of plexus for fish.
function __plexus_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l found (plexus completion fish --for $typed[2..-1] 2>/dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c plexus -f -a '(__plexus_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "completion", run, "print what makes the Tab key complete this command", TEXT)
    parser.add_argument("shell", choices=tuple(SCRIPTS), metavar="SHELL", help="bash, zsh or fish")
    parser.add_argument(
        "--for",
        dest="words",
        nargs=argparse.REMAINDER,
        metavar="WORD",
        help="what the script asks: the words typed so far, of which the last is to be completed",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the script, or what may come next."""
    if arguments.words is None:
        output.line(SCRIPTS[arguments.shell].rstrip("\n"))
        return 0
    from plexus.cli.app import parser

    for word, meaning in candidates(parser(), arguments.words or [""]):
        output.line(_written(arguments.shell, output.clean(word), output.clean(meaning)))
    return 0


def _written(shell: str, word: str, meaning: str) -> str:
    if shell == "fish" and meaning:
        return f"{word}\t{meaning}"
    if shell == "zsh" and word != FILES:
        escaped = word.replace("\\", "\\\\").replace(":", "\\:")
        return f"{escaped}:{meaning}" if meaning else escaped
    return word


# --- what may come next -----------------------------------------------------------------------------------------

Candidates = list[tuple[str, str]]
"""Words, each with what it means; or FILES alone."""


def candidates(parser: argparse.ArgumentParser, words: Sequence[str]) -> Candidates:
    """What the last of these words may become; the others are complete."""
    *before, begun = words
    place = Place(parser)
    for word in before:
        place.take(word)
    if begun == "=" and place.pending is not None:
        begun = ""
    found = place.options() if begun.startswith("-") and place.pending is None else place.values()
    return [(word, meaning) for word, meaning in found if word.startswith(begun) or word == FILES]


class Place:
    """Where in a command line the cursor is: under which parser, and whose value comes next."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._positionals = _positionals(parser)
        self._given: dict[str, str] = {}
        self.pending: argparse.Action | None = None
        """The option whose value comes next."""

    def take(self, word: str) -> None:
        """A word that is complete."""
        if self.pending is not None:
            # bash takes `--status=on` apart into three words.
            if word != "=":
                self.pending = None
        elif word.startswith("-") and word != "-":
            self._option(word)
        elif self._positionals:
            self._positional(word)

    def options(self) -> Candidates:
        """The options that there are here."""
        return [
            (option, _meaning(action))
            for action in self._parser._actions  # noqa: SLF001 - argparse tells of its tree in no other way
            for option in action.option_strings
            if option.startswith("--")
        ]

    def values(self) -> Candidates:
        """What may stand here that is no option."""
        action = self.pending or (self._positionals[0] if self._positionals else None)
        if action is None:
            return []
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001
            return [(name, helps[name]) for name in action.choices if name in helps]
        if action.choices is not None:
            return [(str(choice), "") for choice in action.choices]
        metavar = str(action.metavar or "")
        if metavar in _TAKES_FILES:
            return [(FILES, "")]
        names = _names(metavar, self._given.get("SOURCE"))
        return [(name, "") for name in names if _harmless.fullmatch(name)]

    def _option(self, word: str) -> None:
        name, equals, _value = word.partition("=")
        for action in self._parser._actions:  # noqa: SLF001
            if name in action.option_strings and action.nargs != 0 and not equals:
                self.pending = action

    def _positional(self, word: str) -> None:
        action = self._positionals[0]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            below = action.choices.get(word)
            if below is not None:
                self._parser, self._positionals = below, _positionals(below)
            return
        self._given.setdefault(str(action.metavar), word)
        if action.nargs not in ("*", "+"):
            self._positionals = self._positionals[1:]


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]  # noqa: SLF001


def _meaning(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _names(metavar: str, source: str | None) -> Iterable[str]:
    """Names that the gateway has of this kind; none when it cannot be asked: whoever presses Tab wants no error."""
    if metavar not in ("SOURCE", "RUN") and (metavar not in ("METRIC", "NAME") or source is None):
        return []
    from plexus.api import PlexusAPI
    from plexus.domain.errors import PlexusError

    try:
        with PlexusAPI(timeout=NAMES_WITHIN_S, retries=0) as api:
            if metavar == "SOURCE":
                return [one.source_id for one in api.sources.list()]
            if metavar == "RUN":
                return [one.run_id for one in api.runs.list()]
            assert source is not None
            if metavar == "METRIC":
                return sorted({name for one in source.split(",") for name in api.metrics.names(one)})
            return [one.name for one in api.commands.list(source, limit=1).declared]
    except PlexusError:
        return []
