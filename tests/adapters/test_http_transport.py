"""The request transport against real servers: what is asked, what is refused, and what a person reads about it."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus.adapters.transport.http import RequestTransport
from plexus.adapters.transport.requests import MAX_ANSWER_BYTES
from plexus.domain.errors import ConfigurationError, TransportError
from plexus.protocol.messages import HttpAnswer, HttpRequest
from tests.support.servers import (
    AUTHORITY,
    PATIENCE_S,
    RequestGateway,
    ScriptedServer,
    answers,
    connect_proxy,
    dead_port,
    read_head,
    server_tls,
    stay,
)
from tests.support.waiting import eventually

KEY = "plx_0123456789abcdef0123456789abcdef"


def ask(body: bytes = b"[]", **headers: str) -> HttpRequest:
    return HttpRequest("POST", "/ingest", {"x-api-key": KEY, **headers}, body)


def opened(url: str, timeout: float = PATIENCE_S) -> RequestTransport:
    transport = RequestTransport(url, timeout)
    transport.open(PATIENCE_S)
    return transport


def failure(url: str, timeout: float = PATIENCE_S) -> str:
    """What `receive` says when the first request fails."""
    transport = opened(url, timeout)
    transport.send(ask())
    with pytest.raises(TransportError) as caught:
        transport.receive(PATIENCE_S)
    transport.close()
    assert KEY not in str(caught.value)
    return str(caught.value)


def exchange(
    transport: RequestTransport, gateway: RequestGateway, answer: HttpAnswer
) -> tuple[HttpRequest, HttpAnswer]:
    transport.send(ask())
    request = gateway.receive()
    gateway.send(answer)
    received = transport.receive(PATIENCE_S)
    assert isinstance(request, HttpRequest)
    assert isinstance(received, HttpAnswer)
    return request, received


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "plexus-requests"]


@pytest.fixture
def gateway() -> Iterator[RequestGateway]:
    with RequestGateway() as server:
        yield server


OK = HttpAnswer(200, {"content-type": "application/json"}, b'{"success":true}')


# --- requests and answers -----------------------------------------------------------------------------------


def test_one_connection_is_kept_for_many_requests(gateway: RequestGateway) -> None:
    transport = opened(gateway.url)
    for _ in range(5):
        exchange(transport, gateway, OK)
    assert gateway.connections == 1
    transport.close()


def test_header_names_of_an_answer_are_in_lower_case(gateway: RequestGateway) -> None:
    transport = opened(gateway.url)
    _request, answer = exchange(transport, gateway, HttpAnswer(429, {"Retry-After": "7"}, b"{}"))
    assert answer.headers["retry-after"] == "7"
    transport.close()


@pytest.mark.parametrize(("base", "path"), [("", "/ingest"), ("/", "/ingest"), ("/plexus/", "/plexus/ingest")])
def test_a_path_in_the_address_stands_before_every_path(gateway: RequestGateway, base: str, path: str) -> None:
    transport = opened(gateway.url + base)
    request, _answer = exchange(transport, gateway, OK)
    assert request.path == path
    transport.close()


def test_the_address_of_a_socket_names_the_same_host(gateway: RequestGateway) -> None:
    transport = opened(gateway.url.replace("http:", "ws:"))
    exchange(transport, gateway, OK)
    transport.close()


@pytest.mark.parametrize("url", ["", "gateway", "ftp://host", "http://", "http://host:port"])
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="gateway's address"):
        RequestTransport(url)


def test_a_redirect_is_an_answer_and_is_not_followed(gateway: RequestGateway) -> None:
    with RequestGateway() as elsewhere:
        transport = opened(gateway.url)
        _request, answer = exchange(transport, gateway, HttpAnswer(307, {"location": f"{elsewhere.url}/ingest"}, b""))
        assert answer.status == 307
        assert elsewhere.connections == 0
        transport.close()


def test_an_answer_is_not_unpacked(gateway: RequestGateway) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    transport = opened(gateway.url)
    request, answer = exchange(transport, gateway, HttpAnswer(200, {"content-encoding": "gzip"}, bomb))
    assert request.headers["accept-encoding"] == "identity"
    assert answer.body == bomb
    transport.close()


def test_a_login_in_netrc_is_not_sent(gateway: RequestGateway, home: Path) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    transport = opened(gateway.url)
    request, _answer = exchange(transport, gateway, OK)
    assert "authorization" not in request.headers
    transport.close()


def test_a_header_that_http_does_not_carry_is_refused_without_showing_it(gateway: RequestGateway) -> None:
    transport = opened(gateway.url)
    for bad in ("plx_secret\nx-admin: 1", "plx_secret☃"):
        with pytest.raises(TransportError, match="header x-api-key") as caught:
            transport.send(HttpRequest("POST", "/ingest", {"x-api-key": bad}))
        assert "secret" not in str(caught.value)
    exchange(transport, gateway, OK)
    transport.close()


# --- failures -----------------------------------------------------------------------------------------------


def test_opening_touches_no_network_and_the_first_request_finds_out_that_nothing_listens() -> None:
    port = dead_port()
    assert f"127.0.0.1:{port} refuses connections" in failure(f"http://127.0.0.1:{port}")


def test_a_host_that_is_not_found_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_args: object, **_options: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    assert "the host of gateway.test:80 cannot be found" in failure("http://gateway.test")


def test_a_server_that_stays_silent_is_given_up_after_the_time_out() -> None:
    with ScriptedServer(stay) as server:
        text = failure(f"http://127.0.0.1:{server.port}", timeout=0.3)
        assert f"no answer from 127.0.0.1:{server.port} within 0.3 s" in text


def test_an_answer_over_the_limit_ends_the_link() -> None:
    with ScriptedServer(answers(200, b"x" * (MAX_ANSWER_BYTES + 1))) as server:
        assert "captive portal" in failure(f"http://127.0.0.1:{server.port}")


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    def script(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 10)

    with ScriptedServer(script) as server:
        assert f"127.0.0.1:{server.port}" in failure(f"http://127.0.0.1:{server.port}")


def test_an_answer_that_is_no_http_is_said() -> None:
    def script(sock: socket.socket) -> None:
        sock.sendall(b"220 mail.example ESMTP\r\n\r\n")
        stay(sock)

    with ScriptedServer(script) as server:
        assert f"the connection to 127.0.0.1:{server.port} failed" in failure(f"http://127.0.0.1:{server.port}")


def test_answers_that_came_before_a_failure_are_received_first(gateway: RequestGateway) -> None:
    transport = opened(gateway.url)
    transport.send(ask())
    transport.send(ask())
    gateway.receive()
    gateway.send(OK)
    gateway.receive()
    gateway.break_()
    assert isinstance(transport.receive(PATIENCE_S), HttpAnswer)
    with pytest.raises(TransportError):
        transport.receive(PATIENCE_S)
    transport.close()


def test_closing_cuts_off_a_request_that_is_under_way_and_its_thread_ends() -> None:
    with ScriptedServer(stay) as server:
        transport = opened(f"http://127.0.0.1:{server.port}", timeout=100.0)
        transport.send(ask())
        server.accepted.wait(PATIENCE_S)
        transport.close()
        eventually(lambda: not workers())


def test_closing_an_idle_link_ends_its_thread(gateway: RequestGateway) -> None:
    transport = opened(gateway.url)
    exchange(transport, gateway, OK)
    transport.close()
    eventually(lambda: not workers())


# --- TLS and proxies ----------------------------------------------------------------------------------------


def test_a_certificate_of_an_authority_named_in_ssl_cert_file_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with RequestGateway(server_tls()) as gateway:
        transport = opened(gateway.url)
        exchange(transport, gateway, OK)
        exchange(transport, gateway, OK)
        assert gateway.connections == 1
        transport.close()


def test_closing_cuts_off_a_request_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with RequestGateway(server_tls()) as gateway:
        transport = opened(gateway.url, timeout=100.0)
        transport.send(ask())
        gateway.receive()
        transport.close()
        eventually(lambda: not workers())


def test_a_certificate_of_an_unknown_authority_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with RequestGateway(server_tls()) as gateway:
        assert f"the certificate of 127.0.0.1:{gateway.port} is not accepted" in failure(gateway.url)


def test_plain_requests_go_to_the_proxy_whole(gateway: RequestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:p%25s@127.0.0.1:{gateway.port}")
    transport = opened("http://gateway.test")
    request, _answer = exchange(transport, gateway, OK)
    assert request.path == "http://gateway.test/ingest"
    assert request.headers["proxy-authorization"].startswith("Basic ")
    transport.close()


def test_tls_goes_through_the_proxy_in_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with RequestGateway(server_tls()) as gateway, connect_proxy(gateway.port, login="me:right") as (port, heads):
        monkeypatch.setenv("https_proxy", f"http://me:right@127.0.0.1:{port}")
        transport = opened("https://gateway.test")
        request, _answer = exchange(transport, gateway, OK)
        assert request.path == "/ingest"
        assert KEY not in heads[0]
        transport.close()


def test_a_proxy_that_wants_a_login_is_said_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy(dead_port(), login="me:right") as (port, _heads):
        monkeypatch.setenv("https_proxy", f"http://me:wrong@127.0.0.1:{port}")
        text = failure("https://gateway.test")
        assert "the proxy does not connect to gateway.test:443" in text
        assert "wrong" not in text


def test_a_proxy_that_cannot_be_used_is_found_out_by_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(TransportError, match="http:// proxies only"):
        RequestTransport("http://gateway.test").open(PATIENCE_S)


def test_this_machine_is_never_reached_through_a_proxy(
    gateway: RequestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port()}")
    transport = opened(gateway.url)
    exchange(transport, gateway, OK)
    transport.close()


# --- weight -------------------------------------------------------------------------------------------------


def test_nothing_heavy_is_loaded_for_a_host_at_which_nobody_listens() -> None:
    program = (
        "import socket, sys\n"
        "from plexus.adapters.transport.http import RequestTransport\n"
        "from plexus.domain.errors import TransportError\n"
        "with socket.create_server(('127.0.0.1', 0)) as server: port = server.getsockname()[1]\n"
        "try: RequestTransport(f'http://127.0.0.1:{port}').open(5.0)\n"
        "except TransportError as exc: assert 'refuses connections' in str(exc)\n"
        "else: raise AssertionError('it opened')\n"
        "assert not {'httpx', 'ssl', 'http.client', '_hashlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_what_is_heavy_is_loaded_by_the_first_open_that_finds_somebody() -> None:
    program = (
        "import socket, sys\n"
        "from plexus.adapters.transport.http import RequestTransport\n"
        "from plexus.adapters.transport.websocket import SocketTransport\n"
        "SocketTransport('ws://127.0.0.1'); transport = RequestTransport('http://127.0.0.1')\n"
        "heavy = {'httpx', 'ssl', 'websocket', 'http.client', 'urllib.request', '_hashlib'}\n"
        "assert not heavy & set(sys.modules)\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "transport = RequestTransport(f'http://127.0.0.1:{server.getsockname()[1]}')\n"
        "transport.open(5.0); transport.close()\n"
        "assert 'httpx' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
