"""What every keeper of dead letters must do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from plexus.domain.point import Point
from plexus.ports.deadletters import DeadLetters
from plexus.testing.contracts import Contract

POINTS = [
    Point("motor.rpm", 3200, 1_746_969_660_000.25, {"motor": "A1"}, run_id="thermal-1"),
    Point("mode.changed", {"to": "auto", "by": ["pilot", 7]}, 1_746_969_660_001.0, point_class="event"),
    Point("wärme.☃\n", 'a "quoted" line\n', 1_746_969_660_002.0),
    Point("bad.sensor", float("nan"), 1_746_969_660_003.0),
]


class DeadLettersContract(Contract):
    """Override `make`, and `letters` to say what is kept."""

    def make(self) -> DeadLetters:
        """A fresh, empty keeper."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its dead letters")

    def letters(self, keeper: DeadLetters) -> Sequence[Mapping[str, Any]]:
        """What a person finds there, oldest first: `source_id`, `reason`, `detail` and the `metrics` of the points."""
        raise NotImplementedError(f"{type(self).__name__} must say how to read its dead letters")

    @contextmanager
    def keeper(self) -> Iterator[DeadLetters]:
        """A fresh keeper, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_a_fresh_keeper_is_empty(self) -> None:
        with self.keeper() as keeper:
            assert list(self.letters(keeper)) == []

    def test_a_letter_says_whose_it_is_and_why_in_the_gateways_words(self) -> None:
        with self.keeper() as keeper:
            keeper.keep("drone-01", POINTS, "malformed", 'points[3].value: "NaN"\nis no number')
            (letter,) = self.letters(keeper)
            assert letter["source_id"] == "drone-01"
            assert letter["reason"] == "malformed"
            assert letter["detail"] == 'points[3].value: "NaN"\nis no number'

    def test_all_points_of_a_letter_are_kept(self) -> None:
        with self.keeper() as keeper:
            keeper.keep("drone-01", POINTS, "malformed", "no")
            assert [list(letter["metrics"]) for letter in self.letters(keeper)] == [[point.metric for point in POINTS]]

    def test_letters_are_kept_in_order_and_apart(self) -> None:
        with self.keeper() as keeper:
            for number, point in enumerate(POINTS):
                keeper.keep(f"rig-{number}", [point], "refused", str(number))
            assert [letter["detail"] for letter in self.letters(keeper)] == ["0", "1", "2", "3"]
            assert [letter["source_id"] for letter in self.letters(keeper)] == ["rig-0", "rig-1", "rig-2", "rig-3"]

    def test_the_same_points_may_be_kept_again(self) -> None:
        with self.keeper() as keeper:
            for _ in range(2):
                keeper.keep("drone-01", POINTS, "malformed", "no")
            assert len(self.letters(keeper)) == 2

    def test_closing_twice_is_fine(self) -> None:
        with self.keeper() as keeper:
            keeper.close()
            keeper.close()
