"""Which certificates a link does not take, over the socket or over HTTP, and what a person reads about it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from plexus.adapters.transport.http import RequestTransport
from plexus.adapters.transport.websocket import SocketTransport
from plexus.domain.errors import TransportError
from plexus.protocol.messages import HttpRequest
from tests.support.servers import AUTHORITY, CERTS, PATIENCE_S, ScriptedServer, server_tls

PROBE = HttpRequest("POST", "/ingest", {}, b"{}")


@contextmanager
def serving(certificate: str) -> Iterator[int]:
    """The port of a server that has this certificate and no more to say."""
    context = server_tls(certificate)

    def script(sock: socket.socket) -> None:
        try:
            context.wrap_socket(sock, server_side=True).close()
        except OSError:
            sock.close()  # the device hung up over the certificate, as it should

    with ScriptedServer(script) as server:
        yield server.port


def refusals(port: int, host: str = "127.0.0.1") -> Iterator[str]:
    """What both transports say of the server on `port`, reached under the name `host`."""
    link = SocketTransport(f"wss://{host}:{port}")
    with pytest.raises(TransportError) as caught:
        link.open(PATIENCE_S)
    yield str(caught.value)
    requests = RequestTransport(f"https://{host}:{port}")
    requests.open(PATIENCE_S)
    try:
        requests.send(PROBE)
        with pytest.raises(TransportError) as caught:
            requests.receive(PATIENCE_S)
        yield str(caught.value)
    finally:
        requests.close()


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason", "hint"),
    [
        ("server", None, "unable to get local issuer", "SSL_CERT_FILE"),
        ("self_signed", None, "self-signed certificate", "SSL_CERT_FILE"),
        ("expired", "expired.pem", "has expired", "check this machine's clock first"),
        ("future", "future.pem", "not yet valid", "check this machine's clock first"),
    ],
)
def test_a_certificate_that_is_not_accepted_says_why_and_what_to_do(
    certificate: str, trusted: str | None, reason: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if trusted is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / trusted))
    with serving(certificate) as port:
        for text in refusals(port):
            assert f"the certificate of 127.0.0.1:{port} is not accepted" in text
            assert reason in text.replace("self signed", "self-signed")
            assert hint in text


def test_a_certificate_for_another_host_is_refused_and_the_host_is_to_be_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with serving("server") as port:
        place = ("127.0.0.1", port)

        def lookup(*_args: object, **_options: object) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        for text in refusals(port, "elsewhere.test"):
            assert f"the certificate of elsewhere.test:{port} is not accepted" in text
            assert "check the host name in the address" in text


def test_an_authority_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTS / "missing.pem"))
    with serving("server") as port:
        for text in refusals(port):
            assert "SSL_CERT_FILE" in text
