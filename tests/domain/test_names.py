"""Names: what a device may call itself, what a gateway takes, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.domain.errors import ConfigurationError, ProtocolError
from plexus.domain.names import (
    check_bootstrap_key,
    check_gateway_source_id,
    check_source_id,
    is_gateway_source_id,
    metric_fault,
)


class TestSourceIdOfADevice:
    @pytest.mark.parametrize("name", ["ab", "drone-01", "0_0", "a" * 63, "9-"])
    def test_good_names_are_returned(self, name: str) -> None:
        assert check_source_id(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "a",
            "a" * 64,
            "Drone",
            "-a",
            "_a",
            "a.b",
            "a b",
            "a/b",
            "..",
            "ab\n",
            "ab\x00",
            "ä-1",
            "a\u0661",
            None,
            7,
            b"ab",
        ],
    )
    def test_bad_names_are_refused_with_the_rule(self, name: Any) -> None:
        with pytest.raises(ConfigurationError, match="2 to 63 lower-case letters") as refused:
            check_source_id(name)
        assert repr(name) in str(refused.value)

    @given(st.from_regex(r"[a-z0-9][a-z0-9_-]{1,62}", fullmatch=True))
    def test_whatever_a_device_may_be_called_a_gateway_takes(self, name: str) -> None:
        assert is_gateway_source_id(check_source_id(name))


class TestSourceIdAtAGateway:
    @pytest.mark.parametrize("name", ["a", "a.b", "drone-01_2", "0" * 256, "a..b"])
    def test_dots_and_single_characters_are_taken(self, name: str) -> None:
        assert check_gateway_source_id(name) == name

    @pytest.mark.parametrize("name", ["", ".a", "..", "a/b", "A", "0" * 257, "a\n", "%2e", None, 7])
    def test_the_rest_is_refused_with_the_field(self, name: Any) -> None:
        with pytest.raises(ProtocolError) as refused:
            check_gateway_source_id(name, "points[3].source_id")
        assert refused.value.field == "points[3].source_id"
        assert str(refused.value).startswith("points[3].source_id must match")


class TestMetric:
    @pytest.mark.parametrize("name", ["motor.rpm", "m", "温度", '"; DROP TABLE points; --', "m" * 512, "a b", "\x00"])
    def test_a_metric_is_opaque(self, name: str) -> None:
        assert metric_fault(name) is None

    @pytest.mark.parametrize(
        ("name", "fault"),
        [
            (None, "metric must be a string"),
            (b"m", "metric must be a string"),
            ("", "metric must not be empty"),
            ("m" * 513, "metric must be at most 512 bytes"),
            ("é" * 257, "metric must be at most 512 bytes"),
            ("\ud800" * 200, "metric must be at most 512 bytes"),
        ],
    )
    def test_what_cannot_be_one_is_said_why(self, name: Any, fault: str) -> None:
        assert metric_fault(name) == fault


class TestBootstrapKey:
    def test_32_characters_with_the_prefix_will_do(self) -> None:
        key = "plx_" + "k" * 28
        assert check_bootstrap_key(key, "PLEXUS_BOOTSTRAP_KEY") == key

    @pytest.mark.parametrize("key", ["", "plx_", "plx_" + "k" * 27, "k" * 40])
    def test_a_key_that_will_not_do_is_refused_without_showing_it(self, key: str) -> None:
        with pytest.raises(ConfigurationError) as refused:
            check_bootstrap_key(key, "PLEXUS_BOOTSTRAP_KEY")
        assert "PLEXUS_BOOTSTRAP_KEY" in str(refused.value)
        assert "k" * 20 not in str(refused.value)
