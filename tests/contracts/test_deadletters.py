"""Both keepers of dead letters keep the contract, and the contract catches those that do not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.deadletters.file import FileDeadLetters
from plexus.adapters.deadletters.memory import MemoryDeadLetters
from plexus.domain.point import Point
from plexus.ports.deadletters import DeadLetters
from plexus.testing.contracts import failures
from plexus.testing.contracts.deadletters import DeadLettersContract


def in_memory(keeper: DeadLetters) -> Sequence[Mapping[str, Any]]:
    assert isinstance(keeper, MemoryDeadLetters)
    return [
        {
            "source_id": letter.source_id,
            "reason": letter.reason,
            "detail": letter.detail,
            "metrics": [point.metric for point in letter.points],
        }
        for letter in keeper.letters
    ]


class TestMemoryDeadLetters(DeadLettersContract):
    def make(self) -> DeadLetters:
        return MemoryDeadLetters()

    def letters(self, keeper: DeadLetters) -> Sequence[Mapping[str, Any]]:
        return in_memory(keeper)


class TestFileDeadLetters(DeadLettersContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self) -> DeadLetters:
        return FileDeadLetters(Path(tempfile.mkdtemp(dir=self.directory)))

    def letters(self, keeper: DeadLetters) -> Sequence[Mapping[str, Any]]:
        assert isinstance(keeper, FileDeadLetters)
        if not keeper.path.exists():
            return []
        lines = [json.loads(line) for line in keeper.path.read_text(encoding="ascii").splitlines()]
        return [{**line, "metrics": [point["metric"] for point in line["points"]]} for line in lines]


class Wordless(MemoryDeadLetters):
    """Keeps the points and not the reason that was given for them."""

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        super().keep(source_id, points, reason, "")


class Merging(MemoryDeadLetters):
    """Keeps one letter a reason."""

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        before = [point for letter in self.letters for point in letter.points if letter.reason == reason]
        self.letters = [letter for letter in self.letters if letter.reason != reason]
        super().keep(source_id, before + points, reason, detail)


class Sampling(MemoryDeadLetters):
    """Keeps the first point as an example."""

    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        super().keep(source_id, points[:1], reason, detail)


class NewestFirst(MemoryDeadLetters):
    def keep(self, source_id: str, points: list[Point], reason: str, detail: str) -> None:
        super().keep(source_id, points, reason, detail)
        self.letters.insert(0, self.letters.pop())


WHY = "test_a_letter_says_whose_it_is_and_why_in_the_gateways_words"
ALL = "test_all_points_of_a_letter_are_kept"
ORDER = "test_letters_are_kept_in_order_and_apart"
AGAIN = "test_the_same_points_may_be_kept_again"


@pytest.mark.parametrize(
    ("planted", "caught_by"),
    [
        (MemoryDeadLetters, set()),
        (Wordless, {WHY, ORDER}),
        (Merging, {ORDER, AGAIN}),
        (Sampling, {ALL}),
        (NewestFirst, {ORDER}),
    ],
)
def test_a_planted_fault_is_caught(planted: type[MemoryDeadLetters], caught_by: set[str]) -> None:
    class Suite(DeadLettersContract):
        def make(self) -> DeadLetters:
            return planted()

        def letters(self, keeper: DeadLetters) -> Sequence[Mapping[str, Any]]:
            return in_memory(keeper)

    assert set(failures(Suite)) == caught_by
