"""docs/reference/settings.md and testing.md name what the code has: arguments, variables, fields, suites."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from plexus import Gateway, Plexus, PlexusAPI, RetryConfig
from plexus.adapters.settings.addresses import HOSTS
from plexus.config import FILE_FIELDS
from plexus.device import counters
from tests.docs.pages import ROOT, section

SETTINGS = ROOT / "docs" / "reference" / "settings.md"
DELIVERY = ROOT / "docs" / "explanation" / "delivery.md"
TESTING = ROOT / "docs" / "reference" / "testing.md"

_row = re.compile(r"^\| `(\w+)` \| ([^|]*) \|", re.MULTILINE)


@pytest.mark.parametrize(
    ("title", "made"),
    [
        ("`Plexus(…)`", Plexus),
        ("`RetryConfig(…)`", RetryConfig),
        ("`PlexusAPI(…)`", PlexusAPI),
        ("`Gateway(…)`", Gateway),
    ],
)
def test_the_page_has_every_argument_with_its_default(title: str, made: Callable[..., Any]) -> None:
    wanted = {
        parameter.name: "" if parameter.default is parameter.empty else f"`{_shown(parameter.default)}`"
        for parameter in inspect.signature(made).parameters.values()
    }
    assert dict(_row.findall(section(SETTINGS, title))) == wanted


def test_the_page_has_every_variable_and_no_other() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plexus").rglob("*.py"))
    in_code = set(re.findall(r"PLEXUS_[A-Z_]*[A-Z]", sources))
    assert set(re.findall(r"PLEXUS_[A-Z_]*[A-Z]", SETTINGS.read_text(encoding="utf-8"))) == in_code


def test_the_page_has_every_field_of_the_config_file() -> None:
    text = SETTINGS.read_text(encoding="utf-8")
    assert not [name for name in FILE_FIELDS if f"| `{name}` |" not in text]


def test_the_page_has_the_default_addresses() -> None:
    text = SETTINGS.read_text(encoding="utf-8")
    assert not [url for url in HOSTS.values() if f"`{url}`" not in text]


def test_the_page_has_every_contract_suite() -> None:
    folder = ROOT / "plexus" / "testing" / "contracts"
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    in_code = set(re.findall(r"^class (\w+Contract)\(", sources, re.MULTILINE))
    assert set(re.findall(r"`(\w+Contract)`", TESTING.read_text(encoding="utf-8"))) == in_code


def test_the_page_on_delivery_has_every_reason_for_a_loss() -> None:
    in_code = {value for name, value in vars(counters).items() if name.isupper() and isinstance(value, str)}
    # What a gateway calls malformed is named by the uplink.
    assert set(re.findall(r"^\| `(\w+)` \|", section(DELIVERY, "What is counted"), re.MULTILINE)) == in_code | {
        "malformed"
    }


def _shown(default: object) -> str:
    name = getattr(default, "__name__", None)
    return name if name is not None else repr(default).replace("'", '"')
