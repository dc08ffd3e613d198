"""The project's Markdown pages, as far as the tests of the documentation read them: blocks, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]

_fence = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_code = re.compile(r"`[^`\n]+`")
_link = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_heading = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@attrs.frozen
class Block:
    """A fenced block of a page. `line` is where its first line stands."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it is, for a person."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page of the project: those at the top, and all under docs, examples and tests."""
    folders = ("docs", "examples", "tests", "bench", "plexus")
    below = [path for folder in folders for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *below])


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2]) for match in _fence.finditer(text)]


def blocks_under(page: Path, title: str) -> list[Block]:
    """The fenced blocks under a heading, in order."""
    text, inside = page.read_text(encoding="utf-8"), section(page, title)
    first = text.count("\n", 0, text.index(inside))
    return [block for block in blocks(page) if first < block.line <= first + inside.count("\n")]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _fence.sub("", page.read_text(encoding="utf-8"))


def code_spans(page: Path) -> list[str]:
    """What stands between backticks in the page's prose."""
    return [span.strip("`") for span in _code.findall(prose(page))]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The relative links of a page: the file each names, and its anchor ("" for none)."""
    for target in _link.findall(_code.sub("", prose(page))):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    made: set[str] = set()
    for heading in _heading.findall(prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", "")).lower()
        slug = "".join(char for char in plain if char.isalnum() or char in " -_").replace(" ", "-")
        number = 0
        while (name := slug if not number else f"{slug}-{number}") in made:
            number += 1
        made.add(name)
    return made


def section(page: Path, title: str) -> str:
    """What stands under the heading `title`, up to the next heading of its level or higher."""
    text = page.read_text(encoding="utf-8")
    start = re.search(rf"^(#+) +{re.escape(title)} *$", text, re.MULTILINE)
    assert start is not None, f"{page.name} has no heading {title!r}"
    end = re.search(rf"^#{{1,{len(start[1])}}} ", text[start.end() :], re.MULTILINE)
    return text[start.end() :][: end.start() if end else None]
