"""docs/explanation/security.md: every test that it names is in the file that it links, and no item goes without one."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import ROOT, section

PAGE = ROOT / "docs" / "explanation" / "security.md"

_proof = re.compile(r"\[`(test_\w+)`\]\((\S+?\.py)\)")
_item = re.compile(r"^\| (?!Item)([^-|][^|]*) \|.*$", re.MULTILINE)


def test_every_test_that_is_named_is_in_its_file() -> None:
    for name, path in _proof.findall(PAGE.read_text(encoding="utf-8")):
        tree = ast.parse((PAGE.parent / path).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert name in defined, f"{path} has no {name}"


def test_every_item_names_its_proof() -> None:
    rows = list(_item.finditer(PAGE.read_text(encoding="utf-8")))
    assert len(rows) > 20
    assert [row[1] for row in rows if not _proof.search(row[0])] == []


def test_the_ten_of_owasp_are_there() -> None:
    told = _item.findall(section(PAGE, "The OWASP API Security Top 10 (2023)"))
    assert [item.split()[0] for item in told] == [f"API{number}" for number in range(1, 11)]
