"""Where settings come from, and where a key never goes."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plexus.config import (
    Settings,
    describe,
    ensure_install_id,
    ensure_source_id,
    home_directory,
    require_key,
    save_settings,
)
from plexus.domain.errors import ConfigurationError
from tests.support.configured import KEY, load

HOSTS = ("gateway_url", "gateway_ws_url", "app_url", "api_url")


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "plexus"


def addresses(settings: Settings) -> dict[str, str]:
    return {name: getattr(settings, name) for name in HOSTS}


# --- precedence ---------------------------------------------------------------------------------------------


def test_nothing_given_means_the_hosted_service_and_no_key(directory: Path) -> None:
    settings = load(directory)
    assert addresses(settings) == {
        "gateway_url": "https://gateway.plexus.company",
        "gateway_ws_url": "wss://gateway.plexus.company",
        "app_url": "https://app.plexus.company",
        "api_url": "https://api.plexus.company",
    }
    assert (settings.api_key, settings.source_id, settings.install_id) == (None, None, None)
    assert settings.persistent_buffer is True


def test_an_argument_wins_over_the_environment_and_that_over_the_file(directory: Path) -> None:
    save_settings(directory, api_key="plx_file")
    assert load(directory).api_key == "plx_file"
    assert load(directory, {"PLEXUS_API_KEY": "plx_env"}).api_key == "plx_env"
    assert load(directory, {"PLEXUS_API_KEY": "plx_env"}, api_key="plx_argument").api_key == "plx_argument"


def test_empty_variables_say_nothing(directory: Path) -> None:
    save_settings(directory, api_key="plx_file")
    assert load(directory, {"PLEXUS_API_KEY": " ", "PLEXUS_URL": ""}).api_key == "plx_file"


def test_the_file_holds_every_setting(directory: Path) -> None:
    save_settings(
        directory,
        api_key="plx_file",
        source_id="rig-01_2",
        install_id="ab" * 16,
        endpoint="https://app.example.com/",
        gateway_url="https://gw.example.com",
        gateway_ws_url="wss://gw.example.com/ws/device",
        api_url="https://data.example.com",
        persistent_buffer=False,
    )
    settings = load(directory)
    assert addresses(settings) == {
        "gateway_url": "https://gw.example.com",
        "gateway_ws_url": "wss://gw.example.com/ws/device",
        "app_url": "https://app.example.com",
        "api_url": "https://data.example.com",
    }
    assert (settings.source_id, settings.install_id) == ("rig-01_2", "ab" * 16)
    assert settings.persistent_buffer is False


def test_the_home_is_the_users_unless_it_is_named(home: Path) -> None:
    assert home_directory({}) == home / ".plexus"
    assert home_directory({"PLEXUS_HOME": "/srv/plexus"}) == Path("/srv/plexus")


# --- addresses ----------------------------------------------------------------------------------------------


def test_plexus_url_sets_all_four_hosts(directory: Path) -> None:
    assert addresses(load(directory, {"PLEXUS_URL": "http://127.0.0.1:8765/"})) == {
        "gateway_url": "http://127.0.0.1:8765",
        "gateway_ws_url": "ws://127.0.0.1:8765",
        "app_url": "http://127.0.0.1:8765",
        "api_url": "http://127.0.0.1:8765",
    }


@pytest.mark.parametrize(
    ("variable", "name", "url"),
    [
        ("PLEXUS_GATEWAY_URL", "gateway_url", "https://own.example.com"),
        ("PLEXUS_GATEWAY_WS_URL", "gateway_ws_url", "wss://own.example.com"),
        ("PLEXUS_ENDPOINT", "app_url", "https://own.example.com"),
        ("PLEXUS_API_URL", "api_url", "https://own.example.com"),
    ],
)
def test_a_more_specific_variable_wins_over_plexus_url(directory: Path, variable: str, name: str, url: str) -> None:
    whole = addresses(load(directory, {"PLEXUS_URL": "https://all.example.com"}))
    assert addresses(load(directory, {"PLEXUS_URL": "https://all.example.com", variable: url})) == {**whole, name: url}


def test_a_ws_url_alone_names_the_http_hosts_too(directory: Path) -> None:
    assert addresses(load(directory, ws_url="wss://gw.example.com:8443/base/ws/device")) == {
        "gateway_url": "https://gw.example.com:8443/base",
        "gateway_ws_url": "wss://gw.example.com:8443/base/ws/device",
        "app_url": "https://gw.example.com:8443/base",
        "api_url": "https://gw.example.com:8443/base",
    }


def test_a_ws_url_wins_over_hosts_that_weaker_places_name(directory: Path) -> None:
    save_settings(directory, gateway_url="https://file.example.com", endpoint="https://file.example.com")
    settings = load(directory, {"PLEXUS_GATEWAY_URL": "https://env.example.com"}, ws_url="ws://localhost:1")
    assert set(addresses(settings).values()) == {"ws://localhost:1", "http://localhost:1"}


@pytest.mark.parametrize(
    "named",
    [
        {"PLEXUS_GATEWAY_URL": "https://own.example.com"},
        {"PLEXUS_GATEWAY_WS_URL": "wss://own.example.com"},
        {"PLEXUS_ENDPOINT": "https://own.example.com"},
        {"PLEXUS_API_URL": "https://own.example.com"},
    ],
)
def test_a_key_goes_to_no_host_that_nobody_named(directory: Path, named: dict[str, str]) -> None:
    assert {url.rpartition("/")[2] for url in addresses(load(directory, named)).values()} == {"own.example.com"}


def test_the_hosted_service_named_by_hand_keeps_its_own_app_and_data_api(directory: Path) -> None:
    settings = load(directory, ws_url="wss://plexus-gateway.fly.dev/ws/device")
    assert settings.gateway_url == "https://plexus-gateway.fly.dev"
    assert (settings.app_url, settings.api_url) == ("https://app.plexus.company", "https://api.plexus.company")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("gateway.example.com", "must be an address such as"),
        ("ftp://gateway.example.com", "must be an address such as"),
        ("https://", "must be an address such as"),
        ("https://gateway.example.com:port", "cannot be read"),
        ("https://[::1", "cannot be read"),
    ],
)
def test_an_address_that_is_none_is_refused_by_its_name(directory: Path, url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        load(directory, {"PLEXUS_GATEWAY_URL": url})
    assert "PLEXUS_GATEWAY_URL" in str(caught.value)


def test_a_password_in_an_address_is_refused_and_not_repeated(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="user name or password") as caught:
        load(directory, {"PLEXUS_URL": "https://me:hunter2@example.com"})
    assert "hunter2" not in str(caught.value)


# --- the key ------------------------------------------------------------------------------------------------


def test_no_key_is_an_error_that_says_how_to_get_one(directory: Path) -> None:
    with pytest.raises(ValueError, match=r"PLEXUS_API_KEY.*plexus init"):
        require_key(load(directory))


def test_a_key_is_given_out_without_the_line_end_of_its_file(directory: Path) -> None:
    assert require_key(load(directory, {"PLEXUS_API_KEY": KEY + "\n"})) == KEY


@pytest.mark.parametrize("key", [KEY + "\nx-admin: 1", KEY + " x", KEY + "\u201d", KEY + "\x00"])
def test_a_key_with_characters_that_no_header_carries_is_refused_and_not_shown(directory: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match="PLEXUS_API_KEY") as caught:
        load(directory, {"PLEXUS_API_KEY": key})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://gateway.example.com", "http://192.168.1.5:8765", "http://127.evil.example.com"]
)
def test_a_key_is_not_sent_in_the_clear_to_another_machine(directory: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unencrypted.*PLEXUS_ALLOW_PLAINTEXT=1"):
        load(directory, {"PLEXUS_URL": url})


def test_a_socket_in_the_clear_is_refused_as_well(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway_ws_url ws://gw.example.com \(from the argument ws_url\)"):
        load(directory, gateway_url="https://gw.example.com", ws_url="ws://gw.example.com")


def test_somebody_who_says_so_may_send_it_in_the_clear(directory: Path) -> None:
    url = {"PLEXUS_URL": "http://192.168.1.5"}
    assert load(directory, {**url, "PLEXUS_ALLOW_PLAINTEXT": "1"}).gateway_url == "http://192.168.1.5"
    assert load(directory, url, allow_plaintext=True).gateway_url == "http://192.168.1.5"
    with pytest.raises(ConfigurationError, match="unencrypted"):
        load(directory, {**url, "PLEXUS_ALLOW_PLAINTEXT": "0"})


def test_a_permission_that_is_neither_yes_nor_no_is_refused(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="PLEXUS_ALLOW_PLAINTEXT must be 1 or 0"):
        load(directory, {"PLEXUS_ALLOW_PLAINTEXT": "maybe"})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_may_be_spoken_to_in_the_clear(directory: Path, host: str) -> None:
    assert load(directory, {"PLEXUS_URL": f"http://{host}:8765"}).gateway_url == f"http://{host}:8765"


def test_a_key_is_never_shown(directory: Path) -> None:
    settings = load(directory, api_key=KEY)
    assert "canary" not in repr(settings) + str(settings) + describe(settings)


def test_the_description_says_where_each_setting_came_from(directory: Path) -> None:
    save_settings(directory, install_id="cd" * 16)
    lines = describe(load(directory, {"PLEXUS_ENDPOINT": "https://app.plexus.company"}, api_key=KEY)).splitlines()
    told = {line.split()[0]: line for line in lines}
    assert re.search(r"plx_… \(sha256 [0-9a-f]{8}\) +\(the argument api_key\)$", told["api_key"])
    assert told["app_url"].endswith("https://app.plexus.company  (PLEXUS_ENDPOINT)")
    assert told["gateway_url"].endswith("https://gateway.plexus.company  (the default)")
    assert told["install_id"].endswith(f"{'cd' * 16}  ({directory / 'config.json'})")
    assert told["source_id"].endswith("-  (not set)")


# --- names --------------------------------------------------------------------------------------------------


def test_an_invalid_source_id_is_refused_with_the_rule(directory: Path) -> None:
    with pytest.raises(ValueError, match=r"source_id 'Drone 1' is not valid"):
        load(directory, source_id="Drone 1")


def test_an_install_id_is_made_once_and_kept(directory: Path) -> None:
    made = ensure_install_id(load(directory))
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert load(directory).install_id == ensure_install_id(load(directory)) == made


def test_an_install_id_of_the_environment_is_any_text_and_is_not_kept(directory: Path) -> None:
    assert ensure_install_id(load(directory, {"PLEXUS_INSTALL_ID": "pod/7"})) == "pod/7"
    assert not directory.exists()


def test_a_source_id_is_made_once_and_kept(directory: Path) -> None:
    made = ensure_source_id(load(directory))
    assert re.fullmatch("source-[0-9a-f]{8}", made)
    assert ensure_source_id(load(directory)) == made
    assert ensure_source_id(load(directory, source_id="drone-01")) == "drone-01"


def test_starts_at_the_same_time_go_by_the_same_install_id(directory: Path) -> None:
    fresh = load(directory)
    start = threading.Barrier(8)
    made: list[str] = []

    def begin() -> None:
        start.wait()
        made.append(ensure_install_id(fresh))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1


def test_a_disk_that_keeps_nothing_does_not_keep_a_device_from_starting(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory.parent.mkdir(parents=True)
    settings = load(directory)
    directory.parent.rmdir()
    directory.parent.write_text("a file in the way")
    with caplog.at_level(logging.WARNING, "plexus"):
        assert re.fullmatch("[0-9a-f]{32}", ensure_install_id(settings))
    assert "PLEXUS_INSTALL_ID" in caplog.text


def test_settings_load_nothing_heavy() -> None:
    code = (
        "import sys, plexus.config; "
        "print(sorted({'httpx', 'numpy', 'sqlite3', 'ssl', 'asyncio', 'PIL', 'websocket'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
