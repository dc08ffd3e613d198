"""Where each setting of the gateway comes from, and what is said about one that cannot be."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import attrs
import pytest

from plexus.domain.errors import ConfigurationError
from plexus.gateway import configuration
from plexus.gateway.configuration import FIELDS, TYPES, VARIABLES, Configuration, flag, read
from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings


def reading(tmp_path: Path, *flags: str, file: Path | None = None, system: str = "", **environ: Any) -> Configuration:
    """Read with files in `tmp_path` only; `system` is the text of the system's file."""
    system_file = tmp_path / "etc.toml"
    if system:
        system_file.write_text(system)
    given = dict(map(flag, flags))
    return read(given, default_data=tmp_path / "data", file=file, environ=environ, system_file=system_file)


def own(tmp_path: Path, text: str) -> Path:
    (tmp_path / "data").mkdir(exist_ok=True)
    file = tmp_path / "data" / "gateway.toml"
    file.write_text(text)
    return file


def refusal(tmp_path: Path, *flags: str, text: str = "", **environ: Any) -> str:
    if text:
        own(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        reading(tmp_path, *flags, **environ)
    assert "\n" not in str(refused.value)
    return str(refused.value)


class TestPrecedence:
    def test_without_anything_all_is_as_the_code_has_it(self, tmp_path: Path) -> None:
        found = reading(tmp_path)
        assert found.settings == Settings()
        assert (found.place.host, found.place.port, found.place.data) == ("127.0.0.1", 8080, tmp_path / "data")
        assert set(found.origins.values()) == {"default"}

    def test_a_flag_wins_over_a_variable_over_the_datas_file_over_the_systems(self, tmp_path: Path) -> None:
        system = "[limits]\nbody_bytes = 1\nbody_s = 1\nmessage_points = 1\nmessage_bytes = 1\n"
        own(tmp_path, "[limits]\nbody_s = 2\nmessage_points = 2\nmessage_bytes = 2\n")
        variables: dict[str, Any] = {
            "PLEXUS_GATEWAY_LIMITS_MESSAGE_POINTS": "3",
            "PLEXUS_GATEWAY_LIMITS_MESSAGE_BYTES": "3",
        }
        limits = reading(tmp_path, "limits.message_bytes=4", system=system, **variables).settings.limits
        assert (limits.body_bytes, limits.body_s, limits.message_points, limits.message_bytes) == (1, 2.0, 3, 4)

    def test_a_named_file_is_read_and_no_other(self, tmp_path: Path) -> None:
        own(tmp_path, "port = 1\n")
        named = tmp_path / "other.toml"
        named.write_text("online_s = 5\n")
        for found in (
            reading(tmp_path, system="port = 2\n", file=named),
            reading(tmp_path, system="port = 2\n", PLEXUS_GATEWAY_CONFIG=str(named)),
        ):
            assert (found.place.port, found.settings.online_s) == (8080, 5.0)

    def test_the_systems_file_says_where_the_data_and_its_file_are(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "gateway.toml").write_text("port = 7\n")
        found = reading(tmp_path, system=f'data = "{tmp_path}/elsewhere"\n')
        assert (found.place.data, found.place.port) == (tmp_path / "elsewhere", 7)

    def test_an_empty_variable_says_nothing(self, tmp_path: Path) -> None:
        assert reading(tmp_path, PLEXUS_GATEWAY_PORT=" ").place.port == 8080

    def test_a_devices_variables_are_none_of_ours(self, tmp_path: Path) -> None:
        address = "https://plexus.example.org"
        assert reading(tmp_path, PLEXUS_GATEWAY_URL=address, PLEXUS_GATEWAY_WS_URL=address).origins["host"] == "default"

    def test_a_path_in_a_file_is_taken_from_the_files_folder(self, tmp_path: Path) -> None:
        own(tmp_path, '[tls]\ncert = "cert.pem"\nkey = "/abs/key.pem"\n')
        tls = reading(tmp_path).settings.tls
        assert (tls.cert, tls.key) == (tmp_path / "data" / "cert.pem", Path("/abs/key.pem"))


class TestMapping:
    def test_every_limit_is_a_key_and_has_a_variable(self) -> None:
        names = {f"limits.{name}" for name in attrs.fields_dict(Limits)}
        assert names <= set(FIELDS)
        assert names <= set(VARIABLES.values())
        assert "PLEXUS_GATEWAY_LIMITS_BODY_BYTES" in VARIABLES

    def test_every_limit_is_in_the_docstring(self) -> None:
        assert not [name for name in attrs.fields_dict(Limits) if name not in (Limits.__doc__ or "")]

    def test_no_two_keys_share_a_variable(self) -> None:
        assert len(VARIABLES) == len(FIELDS)

    def test_every_type_is_one_that_a_file_can_hold(self, tmp_path: Path) -> None:
        for key, type_ in TYPES.items():
            assert isinstance(type_, type) or typing.get_origin(type_) is not None, key

    def test_lists_are_written_with_commas_where_there_is_only_text(self, tmp_path: Path) -> None:
        found = reading(tmp_path, "hosts=", PLEXUS_GATEWAY_CORS_ORIGINS="https://a.example, https://b.example:8443")
        assert found.settings.cors.origins == ("https://a.example", "https://b.example:8443")
        assert found.settings.hosts == ()


class TestShowing:
    def test_what_is_shown_can_be_fed_back(self, tmp_path: Path) -> None:
        (tmp_path / "odd").mkdir()
        found = reading(
            tmp_path, "limits.body_s=1.5", "retention.days=30", "hosts=a.example,b.example", "log.format=json",
            f"data={tmp_path}/odd",
        )  # fmt: skip
        file = tmp_path / "shown.toml"
        file.write_text(found.to_toml())
        again = reading(tmp_path, file=file)
        assert (again.place, again.settings) == (found.place, found.settings)

    def test_every_key_is_shown_with_where_it_comes_from(self, tmp_path: Path) -> None:
        file = own(tmp_path, "\nport = 9\n")
        shown = reading(tmp_path, "log.level=debug", PLEXUS_GATEWAY_HOST="0.0.0.0").to_toml()
        assert f"port = 9  # {file}, line 2" in shown
        assert 'host = "0.0.0.0"  # PLEXUS_GATEWAY_HOST' in shown
        assert 'level = "debug"  # --set log.level' in shown
        assert "# days =  # default" in shown
        assert all(f"{key.rpartition('.')[2]} =" in shown for key in FIELDS)


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            ("prot = 9\n", 1, ["prot", "port", "sections"]),
            ("\n[limits]\nbody = 9\n", 3, ["body", "[limits] has", "body_bytes"]),
            ("[limit]\nbody_bytes = 9\n", 1, ["limit"]),
            ('port = "9"\n', 1, ["port", "whole number"]),
            ("port = 70000\n", 1, ["port", "65535"]),
            ("[limits]\n\nbody_bytes = -1\n", 3, ["limits.body_bytes", "0 or more"]),
            ("[limits]\nbody_bytes = true\n", 2, ["limits.body_bytes", "whole number"]),
            ("[limits]\nbody_s = inf\n", 2, ["limits.body_s"]),
            ("[retention]\ndays = 0\n", 2, ["retention.days", "above 0"]),
            ('[cors]\norigins = ["https://a.example/"]\n', 2, ["cors.origins", "https://HOST"]),
            ('[cors]\norigins = ["*"]\n', 2, ["cors.origins", "https://HOST"]),
            ('[cors]\norigins = "https://a.example"\n', 2, ["cors.origins", "list"]),
            ('[proxy]\ntrusted = ["10.0.0.1/8"]\n', 2, ["proxy.trusted", "10.0.0.0/8"]),
            ('[proxy]\nbase_path = "/plexus/"\n', 2, ["proxy.base_path", "/plexus"]),
            ('hosts = ["a.example:80"]\n', 1, ["hosts", "port"]),
            ('[log]\nformat = "xml"\n', 2, ["log.format", "text, json"]),
            ('[tls]\ncert = "a.pem"\n', 2, ["tls.key"]),
            ('data = "/elsewhere"\n', 1, ["data"]),
        ],
    )
    def test_a_file_that_cannot_be_right_is_named_with_line_and_key(
        self, tmp_path: Path, text: str, line: int, words: list[str]
    ) -> None:
        said = refusal(tmp_path, text=text)
        assert f"{tmp_path / 'data' / 'gateway.toml'}, line {line}" in said
        assert not [word for word in words if word not in said]

    def test_what_is_not_toml_is_named_with_its_line(self, tmp_path: Path) -> None:
        assert "line 2" in refusal(tmp_path, text="port = 1\nhost = \n")

    def test_a_named_file_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read"):
            reading(tmp_path, file=tmp_path / "none.toml")

    def test_a_section_that_is_a_value_is_said(self, tmp_path: Path) -> None:
        assert "write [limits]" in refusal(tmp_path, text="limits = 3\n")

    def test_a_variable_that_is_no_settings_is_named(self, tmp_path: Path) -> None:
        assert "PLEXUS_GATEWAY_PROT" in refusal(tmp_path, PLEXUS_GATEWAY_PROT="8080")

    def test_a_variable_with_a_bad_value_is_named(self, tmp_path: Path) -> None:
        said = refusal(tmp_path, PLEXUS_GATEWAY_PORT="http")
        assert "PLEXUS_GATEWAY_PORT" in said
        assert "whole number" in said

    @pytest.mark.parametrize("text", ["limits.nothing=1", "nothing=1", "limits.body_bytes"])
    def test_a_flag_that_is_no_settings_is_named(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="--set"):
            flag(text)

    def test_a_key_in_the_wrong_place_is_not_repeated(self, tmp_path: Path) -> None:
        secret = "plx_a-key-that-came-into-the-wrong-place"
        for said in (
            refusal(tmp_path, PLEXUS_GATEWAY_PORT=secret),
            refusal(tmp_path, f"log.level={secret}"),
            refusal(tmp_path, text=f'[log]\nlevel = "{secret}"\n'),
        ):
            assert secret not in said


def test_the_defaults_that_serve_shows_in_its_help_are_those_of_the_code() -> None:
    assert configuration.DEFAULT_PORT == 8080


def test_the_page_has_every_key_and_no_other() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"
    section = page.read_text(encoding="utf-8").partition("## The gateway\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE)) == set(FIELDS)
