"""docs/reference/command-line.md says what the parser says, and every command line in the documentation parses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from plexus.cli import app
from tests.docs.commandline import Command, commands, options, table
from tests.docs.pages import ROOT, Block, blocks, code_spans, pages, section

PAGE = ROOT / "docs" / "reference" / "command-line.md"
SHELL = frozenset({"", "sh", "bash", "console"})
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

_variable = re.compile(r"^(?:[A-Z_]+=\S* +)+")
_row = re.compile(r"^\| `.*\|$", re.MULTILINE)


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: command.title)
def test_the_page_says_what_the_parser_says(command: Command) -> None:
    wanted = table(command)
    found = _row.findall(section(PAGE, command.title))
    assert found == _row.findall(wanted), f"the section must hold:\n\n{wanted}"


def test_the_page_has_no_command_that_the_parser_has_not() -> None:
    headings = re.findall(r"^## (`plexus .*`)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [command.title for command in commands()]


def test_the_page_names_every_exit_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", section(PAGE, "Exit codes"), re.MULTILINE)
    assert sorted(map(int, codes)) == sorted({app.OK, app.FAILED, app.USAGE, app.INTERRUPTED})


def test_every_command_line_in_a_block_parses(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [found for page in pages() for block in blocks(page) for found in _lines(block)]
    assert len(lines) > 10
    for where, words in lines:
        assert _parses(words), f"{where}: plexus {shlex.join(words)}: {capsys.readouterr().err}"


def test_every_option_in_the_prose_belongs_to_its_command() -> None:
    known = {command.words: options(command) for command in commands()}
    heads = {words[:length] for words in known for length in (1, 2)} | {("login",)}
    for page in pages():
        for span in code_spans(page):
            if span.startswith("plexus ") and "…" not in span and "COMMAND" not in span:
                words = span.split()[1:]
                if words[0].startswith("-"):
                    continue
                assert tuple(words[:1]) in heads, f"{page.name}: there is no `{span}`"
                taken = known.get(tuple(words[:2])) or known.get(tuple(words[:1])) or {"--help"}
                wrong = [word for word in words if word.startswith("--") and word not in taken]
                assert not wrong, f"{page.name}: `{span}`: {wrong}"


def test_every_make_target_in_the_documentation_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for page in pages():
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )?make ([a-z-]+)", text, re.MULTILINE))
        # Tests that take long come with the parts that they test.
        assert named <= targets, f"{page.name}: {named - targets}"


def _parses(words: list[str]) -> bool:
    try:
        app.parser().parse_args(words)
    except SystemExit as exc:
        return exc.code == 0
    return True


def _lines(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The words after `plexus` of each line that calls it, without what the shell would take."""
    if block.language not in SHELL:
        return
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        bare = _variable.sub("", line.removeprefix("$ ").strip())
        if bare.startswith("plexus ") and "…" not in bare:
            words = shlex.split(bare, comments=True)
            ends = [words.index(mark) for mark in ("|", ">", ">>", "&", "&&", "2>") if mark in words]
            yield f"{block.page.name}:{number}", words[1 : min(ends, default=None)]
