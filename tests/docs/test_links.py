"""Every relative link of every page leads somewhere, and every test that a page names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, links, pages, section

DELIVERY = ROOT / "docs" / "explanation" / "delivery.md"

_named = re.compile(r"`((?:tests|plexus/testing)/[\w/]+\.py)(?:::(\w+(?:::\w+)*))?`")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to #{anchor}, which {target.name} has not"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_is_named_is_there(page: Path) -> None:
    for path, name in _named.findall(page.read_text(encoding="utf-8")):
        file = ROOT / path
        assert file.is_file(), f"{page.name} names {path}, which is not there"
        if name:
            assert name.split("::")[-1] in _names(file), f"{page.name} names {name}, which {path} has not"


def test_every_promise_names_its_proof() -> None:
    promises = re.split(r"^- ", section(DELIVERY, "What is promised"), flags=re.MULTILINE)[1:]
    assert len(promises) > 10
    bare = [promise.split("\n")[0] for promise in promises if not _named.search(promise)]
    assert not bare


@cache
def _names(file: Path) -> frozenset[str]:
    """The functions and classes of a test file, however deep, and what state machines call themselves."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    assigned = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return frozenset(defined | assigned)
