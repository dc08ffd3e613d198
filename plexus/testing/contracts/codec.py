"""What every codec must do: give back what it took, and say so when it cannot."""

from __future__ import annotations

import random
from typing import Any

from plexus.domain.errors import ProtocolError
from plexus.domain.point import Row
from plexus.domain.values import MAX_INT, MIN_INT, Value
from plexus.ports.codec import Codec
from plexus.testing.contracts import Contract

T_MS = 1_746_969_660_000
NOT_ROWS = (b"", b"\x00\xff\xfe", b"null", b"{}", b"[1]", b"[[]]", b'[{"metric":"a"}]', b"plain text")


def same(left: Any, right: Any) -> bool:
    """Equality of values in which NaN equals NaN, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return bool(left == right) or (left != left and right != right)


class CodecContract(Contract):
    """Override `make` to return the codec to try."""

    def make(self) -> Codec:
        """A codec."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its codec")

    def test_it_has_a_name_for_the_wire(self) -> None:
        name = self.make().name
        assert name
        assert name.isascii()
        assert name == name.strip().lower()

    def test_no_rows_come_back_as_no_rows(self) -> None:
        self._comes_back([])

    def test_numbers_come_back_exactly(self) -> None:
        self._values_come_back(0, -1, MIN_INT, MAX_INT, 2**53 + 1, 0.1, -0.0, 1e308, 5e-324, 1 / 3)

    def test_text_comes_back_whatever_is_in_it(self) -> None:
        self._values_come_back("", "RUNNING", 'quote " and \\ and /', "line\n\t\0", "Grüße, 東京 \U0001f680", "NaN")

    def test_booleans_stay_booleans(self) -> None:
        self._values_come_back(*(True, False, 1, 0))

    def test_objects_and_arrays_come_back_at_any_depth(self) -> None:
        self._values_come_back({}, [], {"a": {"b": [1, "x", {"c": False}]}}, [[1], [2.5, "y"]], {"": "empty key"})

    def test_numbers_that_are_not_finite_come_back(self) -> None:
        self._values_come_back(float("nan"), float("inf"), float("-inf"))

    def test_times_come_back_to_the_microsecond(self) -> None:
        stamps = (T_MS, T_MS + 0.125, T_MS + 0.001, 0, -1, -1.5, 1, 5_001, 0.25, 999_999_999_999.5)
        self._comes_back([("a", 1, stamp, None, "metric", None) for stamp in stamps])

    def test_tags_class_and_run_come_back(self) -> None:
        tags = {f"tag{i}": "wert ä" for i in range(16)}
        self._comes_back([("a", 1, T_MS, tags, "event", "run-1"), ("b", 2, T_MS, None, "metric", None)])

    def test_tags_that_are_empty_come_back_as_none(self) -> None:
        codec = self.make()
        body = codec.encode([("a", 1, T_MS, {}, "metric", None)])
        assert codec.decode(body) == [("a", 1, T_MS, None, "metric", None)]

    def test_the_order_and_the_number_of_rows_stay(self) -> None:
        self._comes_back([(f"m{i % 7}", i, T_MS + i % 3, None, "metric", None) for i in range(1_000)])

    def test_rows_at_random_come_back(self) -> None:
        dice = random.Random(20_251_124)  # noqa: S311 - the same rows at every run
        self._comes_back([_any_row(dice) for _ in range(500)])

    def test_the_same_rows_give_the_same_bytes(self) -> None:
        codec = self.make()
        rows: list[Row] = [("a", {"x": 1, "y": [2]}, T_MS, {"k": "v"}, "metric", None)]
        assert codec.encode(rows) == codec.encode(list(rows))

    def test_encoding_leaves_the_rows_as_they_were(self) -> None:
        value: dict[str, Any] = {"x": [1, 2]}
        tags = {"k": "v"}
        self.make().encode([("a", value, T_MS, tags, "metric", None)])
        assert value == {"x": [1, 2]}
        assert tags == {"k": "v"}

    def test_bytes_that_are_no_rows_are_refused_with_a_protocol_error(self) -> None:
        codec = self.make()
        for body in NOT_ROWS:
            assert _refuses(codec, body), f"{body!r} was taken for rows"

    def test_a_body_that_was_cut_is_refused_with_a_protocol_error(self) -> None:
        codec = self.make()
        body = codec.encode([("a", "text", T_MS, {"k": "v"}, "metric", "run-1")])
        for length in range(len(body)):
            assert _refuses(codec, body[:length]), f"the first {length} of {len(body)} bytes were taken for rows"

    def _values_come_back(self, *values: Value) -> None:
        self._comes_back([("a.b", value, T_MS, None, "metric", None) for value in values])

    def _comes_back(self, rows: list[Row]) -> None:
        codec = self.make()
        back = codec.decode(codec.encode(rows))
        assert same(back, rows), f"{rows!r} came back as {back!r}"


def _refuses(codec: Codec, body: bytes) -> bool:
    try:
        codec.decode(body)
    except ProtocolError:
        return True
    return False


def _any_row(dice: random.Random) -> Row:
    tags = {f"t{i}": str(i) for i in range(dice.randrange(4))} or None
    run_id = f"run-{dice.randrange(3)}" if dice.random() < 0.3 else None
    stamp = T_MS + round(dice.random() * 1e6, 3)
    return (f"m{dice.randrange(20)}", _any_value(dice, 0), stamp, tags, dice.choice(("metric", "event")), run_id)


def _any_value(dice: random.Random, depth: int) -> Value:
    kind = dice.randrange(6 if depth < 3 else 4)
    if kind == 0:
        return dice.uniform(-1e9, 1e9)
    if kind == 1:
        return dice.randrange(MIN_INT, MAX_INT)
    if kind == 2:
        return "".join(chr(dice.choice((65, 34, 92, 0x1F, 0xE4, 0x6771, 0x1F680))) for _ in range(dice.randrange(8)))
    if kind == 3:
        return dice.random() < 0.5
    if kind == 4:
        return [_any_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {f"k{i}": _any_value(dice, depth + 1) for i in range(dice.randrange(4))}
