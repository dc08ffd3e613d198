"""Connections of the WebSocket transport: those that are not made and what a person reads about it, TLS, proxies."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from plexus.adapters.transport import tls
from plexus.adapters.transport.websocket import SocketTransport
from plexus.domain.errors import TransportError
from tests.adapters.dialling import opened, refused
from tests.support.servers import (
    AUTHORITY,
    PATIENCE_S,
    ScriptedServer,
    SocketGateway,
    answers,
    connect_proxy,
    dead_port,
    read_head,
    server_tls,
    stay,
)


@pytest.fixture
def gateway() -> Iterator[SocketGateway]:
    with SocketGateway() as server:
        yield server


# --- connections that are not made --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "wants a login"),
        (403, "refuses this client"),
        (404, "no gateway at this path"),
        (407, "the proxy wants a login"),
        (426, "speaks HTTP and no WebSocket"),
        (302, "redirects are not followed"),
        (429, "too many connections"),
        (500, "the gateway is not up"),
        (503, "the gateway is not up"),
    ],
)
def test_a_refused_upgrade_says_what_to_check(status: int, hint: str) -> None:
    with ScriptedServer(answers(status, b"page", Location="http://elsewhere.example/")) as server:
        text = refused(f"ws://127.0.0.1:{server.port}")
        assert f"127.0.0.1:{server.port} answered {status}" in text
        assert hint in text


def test_the_page_of_a_captive_portal_is_no_gateway_however_long_it_is() -> None:
    page = b"<html>" + b"log in to the hotel " * 100_000
    with ScriptedServer(answers(200, page)) as server:
        assert "captive portal" in refused(f"ws://127.0.0.1:{server.port}")


def test_an_upgrade_by_something_that_is_no_websocket_server_is_refused() -> None:
    with ScriptedServer(answers(101, Upgrade="websocket", Sec_WebSocket_Accept="made up")) as server:
        assert "no WebSocket gateway answers there" in refused(f"ws://127.0.0.1:{server.port}")


def test_an_answer_that_is_no_http_is_said() -> None:
    def script(sock: socket.socket) -> None:
        sock.sendall(b"220 mail.example ESMTP\r\n\r\n")
        stay(sock)

    with ScriptedServer(script) as server:
        assert "answered no HTTP" in refused(f"ws://127.0.0.1:{server.port}")


def test_a_connection_that_closes_during_the_upgrade_is_said() -> None:
    with ScriptedServer(lambda sock: None) as server:
        assert f"127.0.0.1:{server.port}" in refused(f"ws://127.0.0.1:{server.port}")


def test_nothing_that_listens_is_said() -> None:
    port = dead_port()
    assert f"127.0.0.1:{port} refuses connections" in refused(f"ws://127.0.0.1:{port}")


def test_a_host_that_is_not_found_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_args: object, **_options: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    assert "the host of gateway.test:80 cannot be found" in refused("ws://gateway.test")


def test_a_server_that_stays_silent_is_given_up_after_the_time_out() -> None:
    with ScriptedServer(stay) as server:
        text = refused(f"ws://127.0.0.1:{server.port}", timeout=0.3)
        assert f"no answer from 127.0.0.1:{server.port} within 0.3 s" in text


def test_a_server_that_never_comes_to_the_end_of_its_head_is_given_up_after_the_time_out() -> None:
    def script(sock: socket.socket) -> None:
        read_head(sock)
        while True:
            sock.sendall(b"X-Filler: x\r\n")
            threading.Event().wait(0.02)

    with ScriptedServer(script) as server:
        assert "within 0.3 s" in refused(f"ws://127.0.0.1:{server.port}", timeout=0.3)


def test_an_address_that_leads_nowhere_does_not_keep_the_next_one_from_being_tried(
    gateway: SocketGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [("127.0.0.1", dead_port()), ("127.0.0.1", gateway.port)]

    def lookup(*_args: object, **_options: object) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    opened("ws://gateway.test").close()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_close_ends_an_open_on_another_thread(scheme: str) -> None:
    with ScriptedServer(stay) as server:
        transport = SocketTransport(f"{scheme}://127.0.0.1:{server.port}")
        failures: list[BaseException] = []

        def open_it() -> None:
            try:
                transport.open(PATIENCE_S * 10)
            except TransportError as exc:
                failures.append(exc)

        thread = threading.Thread(target=open_it)
        thread.start()
        server.accepted.wait(PATIENCE_S)
        transport.close()
        thread.join(PATIENCE_S)
        assert "was given up while it was made" in str(failures[0])


# --- TLS ----------------------------------------------------------------------------------------------------


def test_a_certificate_of_an_authority_named_in_ssl_cert_file_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with SocketGateway(server_tls()) as gateway:
        transport = opened(gateway.url)
        large = "x" * 300_000
        transport.send(large)
        assert gateway.receive() == large
        for message in (large, "small", b"\x00"):
            gateway.send(message)
        assert [transport.receive(PATIENCE_S) for _ in range(3)] == [large, "small", b"\x00"]
        transport.close()
        assert gateway.receive() is None
        assert gateway.connection.close_code == 1000


def test_a_port_that_speaks_no_tls_is_said(gateway: SocketGateway) -> None:
    assert "speaks TLS" in refused(f"wss://127.0.0.1:{gateway.port}")


# --- proxies ------------------------------------------------------------------------------------------------


def test_a_gateway_is_reached_through_the_proxy_of_the_environment(
    gateway: SocketGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect_proxy(gateway.port) as (port, heads):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        transport = opened("ws://gateway.test")
        transport.send("through")
        assert gateway.receive() == "through"
        assert heads[0].startswith("CONNECT gateway.test:80 HTTP/1.1\r\n")
        transport.close()


def test_tls_through_a_proxy_is_checked_against_the_gateways_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with SocketGateway(server_tls()) as gateway, connect_proxy(gateway.port, login="me:p%s") as (port, _heads):
        monkeypatch.setenv("https_proxy", f"http://me:p%25s@127.0.0.1:{port}")
        opened("wss://gateway.test").close()
        assert "is not accepted" in refused("wss://elsewhere.test")


def test_a_proxy_that_wants_a_login_is_said_and_its_password_is_not(
    gateway: SocketGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect_proxy(gateway.port, login="me:right") as (port, _heads):
        monkeypatch.setenv("http_proxy", f"http://me:wrong@127.0.0.1:{port}")
        text = refused("ws://gateway.test")
        assert f"the proxy 127.0.0.1:{port} does not connect to gateway.test:80: it answered 407" in text
        assert "wrong" not in text


def test_a_proxy_that_is_no_http_proxy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:secret@127.0.0.1:1080")
    text = refused("ws://gateway.test")
    assert "reached through http:// proxies only" in text
    assert "secret" not in text


def test_this_machine_is_never_reached_through_a_proxy(gateway: SocketGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port()}")
    opened(gateway.url).close()


def test_hosts_in_no_proxy_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port()}")
    monkeypatch.setenv("no_proxy", ".test")

    def not_found(*args: object, **_options: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, str(args[0]))

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    assert "gateway.test" in refused("ws://gateway.test")


def test_a_python_without_a_store_of_its_own_trusts_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    none = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "/none", "SSL_CERT_DIR", "/none")  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: none)
    context = tls.trust()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.get_ca_certs()
