"""What names a machine, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from plexus.adapters.settings.hardware import hardware_id, is_another_machine


def a_machine(root: Path, **files: bytes) -> Path:
    places = {
        "tree": "proc/device-tree/serial-number",
        "product": "sys/class/dmi/id/product_uuid",
        "board": "sys/class/dmi/id/board_serial",
        "docker": ".dockerenv",
    }
    for name, content in files.items():
        place = root / places[name]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return root


def test_a_board_is_named_by_its_device_tree(tmp_path: Path) -> None:
    one, other = (a_machine(tmp_path / name, tree=f"10000000{name}\0".encode()) for name in ("abcd", "abce"))
    assert (hardware_id(one, {}) or "").startswith("device-tree:")
    assert hardware_id(one, {}) == hardware_id(one, {}) != hardware_id(other, {})


def test_a_name_is_kept_as_a_hash(tmp_path: Path) -> None:
    assert "10000000abcd" not in (hardware_id(a_machine(tmp_path, tree=b"10000000abcd"), {}) or "")


def test_a_computer_is_named_by_its_product_or_its_board(tmp_path: Path) -> None:
    product = a_machine(tmp_path / "a", product=b"4C4C4544-0042-3510\n", board=b"/AB12/CD34/")
    board = a_machine(tmp_path / "b", board=b"/AB12/CD34/")
    assert [(hardware_id(root, {}) or "").partition(":")[0] for root in (product, board)] == [
        "dmi-product",
        "dmi-board",
    ]


@pytest.mark.parametrize("blank", [b"", b"0\n", b"None", b"00000000-0000-0000-0000", b"FFFFFFFF-FFFF"])
def test_a_blank_form_names_nothing(tmp_path: Path, blank: bytes) -> None:
    assert hardware_id(a_machine(tmp_path, product=blank), {}) is None


def test_a_machine_that_says_nothing_has_no_name(tmp_path: Path) -> None:
    assert hardware_id(tmp_path, {}) is None


def test_a_container_has_no_hardware_of_its_own(tmp_path: Path) -> None:
    assert hardware_id(a_machine(tmp_path / "a", tree=b"10000000abcd", docker=b""), {}) is None
    assert hardware_id(a_machine(tmp_path / "b", tree=b"10000000abcd"), {"container": "podman"}) is None


@pytest.mark.parametrize(
    ("kept", "here", "is_another"),
    [
        ("dmi-product:aa", "dmi-product:bb", True),
        ("dmi-product:aa", "dmi-product:aa", False),
        # Today run by another user, who may read less.
        ("dmi-product:aa", "dmi-board:bb", False),
        ("dmi-product:aa", None, False),
        (None, "dmi-product:aa", False),
        (7, "dmi-product:aa", False),
    ],
)
def test_only_two_names_of_one_kind_tell_machines_apart(kept: object, here: str | None, is_another: bool) -> None:
    assert is_another_machine(kept, here) is is_another
