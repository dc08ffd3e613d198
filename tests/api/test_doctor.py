"""The doctor beside real servers: what is wrong is found, named, and nothing else is."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plexus import PlexusAPI
from plexus.api.doctor import examine
from plexus.gateway import Gateway
from plexus.gateway.settings import Settings, Tls
from tests.api.examining import TIMEOUT_S, Examine, examiner, one, wrong
from tests.support.gateway import KEY, make_key, running
from tests.support.servers import AUTHORITY, CERTS, ScriptedServer, answers, connect_proxy, dead_port, read_head


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def look(home: Path) -> Examine:
    return examiner(home)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running() as gateway:
        yield gateway


def test_where_all_is_well_everything_is_looked_at_and_nothing_is_wrong(look: Examine, gateway: Gateway) -> None:
    findings = look(gateway.url)
    assert wrong(findings) == []
    looked_at = {finding.check for finding in findings}
    assert looked_at == {
        *("settings", "key", "proxy", "dns", "tcp", "http", "websocket", "data API", "clock"),
        *("spool", "disk", "software", "libraries"),
    }


def test_nothing_is_written_and_no_source_is_made(look: Examine, gateway: Gateway, home: Path) -> None:
    look(gateway.url)
    assert not home.exists()
    with PlexusAPI(KEY, gateway.url) as api:
        assert api.sources.list() == []


def test_no_finding_shows_the_key(look: Examine, gateway: Gateway) -> None:
    assert KEY not in repr(look(gateway.url))


# --- settings and key -----------------------------------------------------------------------------------------------


def test_a_setting_that_cannot_be_right_is_found(look: Examine) -> None:
    found = one(look("ftp://gateway.test"), "settings")
    assert (found.state, "PLEXUS_URL" in found.said) == ("fail", True)


def test_without_a_key_it_says_how_to_get_one(look: Examine, gateway: Gateway) -> None:
    found = one(look(gateway.url, key=""), "key")
    assert (found.state, "plexus init" in found.advice) == ("fail", True)


def test_a_wrong_key_is_found_at_the_app_and_at_the_data_api(look: Examine, gateway: Gateway) -> None:
    findings = look(gateway.url, key="plx_" + "0" * 40)
    assert wrong(findings) == [("key", "fail"), ("data API", "fail")]
    assert "plexus keys create" in one(findings, "key").advice


def test_a_key_that_may_only_send_is_a_warning(look: Examine, gateway: Gateway) -> None:
    findings = look(gateway.url, key=make_key(gateway, "write"))
    assert wrong(findings) == [("key", "warn"), ("data API", "warn")]


def test_a_key_that_is_tied_to_a_source_says_which(look: Examine, gateway: Gateway) -> None:
    said = [finding.said for finding in look(gateway.url, key=make_key(gateway, "read", "write", source_id="rig-01"))]
    assert any(text.endswith("for rig-01 alone") for text in said)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_key_that_others_may_read_is_a_warning(look: Examine, gateway: Gateway, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.json").write_text("{}")
    (home / "config.json").chmod(0o644)
    found = one(look(gateway.url), "key")
    assert (found.state, found.advice) == ("warn", f"chmod 600 {home / 'config.json'}")


# --- hosts ----------------------------------------------------------------------------------------------------------


def test_a_dead_port_is_found_and_nothing_behind_it_is_asked(look: Examine) -> None:
    findings = look(f"http://127.0.0.1:{dead_port()}")
    assert wrong(findings) == [("tcp", "fail")]
    assert "check that the gateway runs there" in one(findings, "tcp").advice


def test_a_name_that_nobody_knows_is_found(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_named: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = one(look("https://gateway.invalid"), "dns")
    assert (found.state, "cannot be found" in found.said) == ("fail", True)


def test_a_host_that_is_no_gateway_is_found(look: Examine) -> None:
    with ScriptedServer(answers(200, b"<html>Welcome to the hotel</html>")) as server:
        findings = look(f"http://127.0.0.1:{server.port}")
    assert wrong(findings) == [
        *[("http", "fail")] * 1,
        ("websocket", "fail"),
        *[("http", "fail")] * 2,
        ("clock", "warn"),
    ]
    assert all("captive portal" in finding.advice for finding in findings if finding.check == "http")


def test_each_of_four_hosts_is_looked_at_by_itself(look: Examine, gateway: Gateway, home: Path) -> None:
    dead = f"http://127.0.0.1:{dead_port()}"
    environ = {
        "PLEXUS_HOME": str(home),
        "PLEXUS_API_KEY": KEY,
        "PLEXUS_URL": gateway.url,
        "PLEXUS_ENDPOINT": dead,
    }
    findings = list(examine(environ=environ, timeout=TIMEOUT_S))
    assert wrong(findings) == [("tcp", "fail")]
    assert [finding.state for finding in findings if finding.check == "data API"] == ["ok"]


def test_a_host_that_says_nothing_is_left_in_time(look: Examine) -> None:
    def silent(sock: socket.socket) -> None:
        read_head(sock)
        sock.recv(1)

    with ScriptedServer(silent) as server:
        found = [f for f in look(f"http://127.0.0.1:{server.port}", timeout=0.05) if f.state == "fail"]
    assert all("within 0.05 s" in finding.said for finding in found)
    assert len(found) == 4


# --- TLS ------------------------------------------------------------------------------------------------------------


def secured(certificate: str) -> Settings:
    file = CERTS / f"{certificate}.pem"
    return Settings(tls=Tls(file, file))


def test_a_good_certificate_is_told_with_its_end(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with running(settings=secured("server")) as gateway:
        findings = look(gateway.url)
    assert wrong(findings) == []
    trusted, certificate = [finding for finding in findings if finding.check == "tls"]
    assert f"of {AUTHORITY} are trusted" in trusted.said
    assert "more days" in certificate.said


def test_an_authority_whose_file_is_not_there_is_found(
    look: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "lost.pem"))
    with running(settings=secured("server")) as gateway:
        findings = look(gateway.url)
    assert [finding.subject for finding in findings if finding.state == "fail"] == [
        "SSL_CERT_FILE",
        f"127.0.0.1:{gateway.port}",
    ]


def test_a_file_without_a_certificate_is_found(look: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    found = [finding for finding in look(f"https://127.0.0.1:{dead_port()}") if finding.subject == "SSL_CERT_FILE"]
    assert [finding.state for finding in found] == ["warn"]


@pytest.mark.parametrize(
    ("certificate", "trusted", "words"),
    [
        ("expired", "expired", "certificate has expired"),
        ("future", "future", "not yet valid"),
        ("self_signed", "authority", "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_found(
    look: Examine, monkeypatch: pytest.MonkeyPatch, certificate: str, trusted: str, words: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / f"{trusted}.pem"))
    with running(settings=secured(certificate)) as gateway:
        findings = look(gateway.url)
    assert wrong(findings) == [("tls", "fail")]
    assert words in one(findings, "tls").said.replace("self signed", "self-signed")


def test_a_certificate_is_judged_by_the_clock_that_is_given(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    end_of_2119 = 4_733_510_400.0
    with running(settings=secured("server")) as gateway:
        findings = look(gateway.url, wall_s=lambda: end_of_2119)
    assert ("tls", "warn") in wrong(findings)
    assert ("clock", "fail") in wrong(findings)


def test_a_port_without_tls_is_found(look: Examine, gateway: Gateway) -> None:
    assert wrong(look(f"https://127.0.0.1:{gateway.port}")) == [("tls", "fail")]


# --- proxies --------------------------------------------------------------------------------------------------------


def test_a_proxy_that_refuses_is_found(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answers(403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        findings = look("https://gateway.test")
    assert wrong(findings) == [("proxy", "fail")]
    assert "it answered 403" in one(findings, "proxy").said


def test_a_proxy_that_wants_a_login_is_found(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy(dead_port(), login="me:secret") as (port, _heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        found = one(look("https://gateway.test"), "proxy")
    assert "wants a login" in found.advice


def test_a_proxy_that_cannot_be_used_is_found(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@127.0.0.1:1080")
    found = one(look("https://gateway.test"), "proxy")
    assert (found.state, "secret" in repr(found)) == ("fail", False)


def test_a_proxy_that_refuses_a_host_without_tls_is_found(
    gateway: Gateway, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"PLEXUS_HOME": str(home), "PLEXUS_URL": "http://gateway.test", "PLEXUS_ALLOW_PLAINTEXT": "1"}
    with ScriptedServer(answers(403)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        findings = list(examine(environ=environ, timeout=TIMEOUT_S))
    assert ("proxy", "fail") in wrong(findings)
    assert not [finding for finding in findings if finding.check == "http"]


def test_a_way_through_a_proxy_is_looked_at_to_its_end(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with running(settings=secured("server")) as gateway, connect_proxy(gateway.port) as (port, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        findings = look("https://gateway.test")
    # The gateway is on this machine and answers to its own names alone: it is reached, and says so.
    assert {finding.check for finding in findings if finding.state == "fail"} == {"http", "websocket"}
    assert all("hosts" in finding.advice for finding in findings if finding.check == "http")
    assert heads


def test_a_proxy_that_does_not_apply_is_told_too(
    look: Examine, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{dead_port()}")
    findings = look(gateway.url)
    assert wrong(findings) == []
    assert "HTTPS_PROXY do not apply" in next(finding.said for finding in findings if finding.check == "proxy")


# --- clock ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_wrong_is_found(look: Examine, gateway: Gateway) -> None:
    findings = look(gateway.url, wall_s=lambda: time.time() - 3_600.0)
    assert wrong(findings) == [("clock", "fail")]
    assert "60 min behind" in one(findings, "clock").said


# --- spool ----------------------------------------------------------------------------------------------------------
