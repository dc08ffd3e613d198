"""https and wss with a certificate, and a certificate that is changed while the gateway runs."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from plexus import Plexus, PlexusAPI
from plexus.domain.errors import ConfigurationError
from plexus.gateway import Gateway
from plexus.gateway import running as running_module
from plexus.gateway.core import Limits
from plexus.gateway.settings import Settings, Tls
from tests.gateway.test_ingest import stored
from tests.support.gateway import KEY, PATIENCE_S, device, make_key, running
from tests.support.servers import AUTHORITY, CERTS
from tests.support.waiting import eventually


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """A certificate of AUTHORITY and its key, each in a file that can be exchanged."""
    use(tmp_path, "server")
    return Tls(tmp_path / "cert.pem", tmp_path / "key.pem")


@pytest.fixture
def secure(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with running(settings=Settings(tls=tls)) as gateway:
        yield gateway


def use(folder: Path, certificate: str) -> None:
    """Put another certificate into the two files."""
    for name in ("cert.pem", "key.pem"):
        shutil.copy(CERTS / f"{certificate}.pem", folder / name)


def shown(gateway: Gateway) -> str:
    """The certificate that a new connection gets."""
    return ssl.get_server_certificate(("127.0.0.1", gateway.port), timeout=PATIENCE_S)


def test_the_addresses_say_https_and_wss(secure: Gateway) -> None:
    assert secure.url == f"https://127.0.0.1:{secure.port}"
    assert secure.ws_url == f"wss://127.0.0.1:{secure.port}"


def test_our_device_and_our_reader_speak_with_it(
    secure: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLEXUS_INSTALL_ID", "0" * 32)
    with Plexus(api_key=KEY, source_id="rig-01", ws_url=secure.ws_url, durability="memory") as px:
        px.send("a", 1)
        assert px.flush_buffer()
    assert stored(secure) == [1]
    with PlexusAPI(api_key=KEY, base_url=secure.url) as api:
        assert [source.source_id for source in api.sources.list()] == ["rig-01"]


def test_an_older_tls_is_refused(secure: Gateway) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secure.port), PATIENCE_S) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw)


def test_plain_http_gets_nothing(secure: Gateway) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{secure.port}/healthz", trust_env=False, timeout=PATIENCE_S)


def test_a_new_certificate_is_served_after_a_reload_and_open_connections_stay(secure: Gateway, tls: Tls) -> None:
    before = shown(secure)
    with httpx.Client(verify=ssl.create_default_context(cafile=AUTHORITY), trust_env=False) as client:
        client.get(secure.url + "/healthz")
        assert tls.cert is not None
        use(tls.cert.parent, "self_signed")
        secure.reload()
        eventually(lambda: shown(secure) != before)
        assert client.get(secure.url + "/healthz").status_code == 200


def test_a_certificate_that_is_none_leaves_the_old_one_and_is_said(
    secure: Gateway, tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    before = shown(secure)
    assert tls.cert is not None
    tls.cert.write_text("nothing")
    secure.reload()
    eventually(lambda: "nothing is changed" in caplog.text)
    assert str(tls.cert) in caplog.text
    assert shown(secure) == before


def test_a_reload_ends_sockets_with_a_key_that_was_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_module, "KEYS_WATCHED_S", 3600.0)  # the watch, which would end them too, sleeps
    with running() as gateway, device(gateway, key=make_key(gateway, "write")) as wire:
        (key_id,) = [info.key_id for info in gateway.core.keyring.list() if info.name == "another"]
        gateway.core.keyring.revoke(key_id)
        gateway.reload()
        assert wire.hear()["type"] == "error"


@pytest.mark.parametrize(("cert", "key"), [("cert.pem", "none.pem"), ("none.pem", "key.pem"), ("junk.pem", "key.pem")])
def test_a_certificate_that_cannot_be_read_is_one_line(tls: Tls, tmp_path: Path, cert: str, key: str) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(ConfigurationError) as refused:
        Gateway(settings=Settings(tls=Tls(tmp_path / cert, tmp_path / key))).start()
    assert "\n" not in str(refused.value)
    assert cert in str(refused.value) or key in str(refused.value)


def test_a_handshake_that_does_not_come_is_not_waited_for(tls: Tls) -> None:
    with (
        running(settings=Settings(tls=tls, limits=Limits(head_s=0.1))) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as raw,
    ):
        assert raw.recv(100) == b""


def test_it_ends_within_five_seconds_whoever_is_connected_and_says_goodbye(secure: Gateway) -> None:
    trusting = ssl.create_default_context(cafile=AUTHORITY)

    def raw() -> socket.socket:
        return socket.create_connection(("127.0.0.1", secure.port), PATIENCE_S)

    async def greet(path: str, **greeting: Any) -> ClientConnection:
        link = await connect(secure.ws_url + path, ssl=trusting, proxy=None)
        await link.send(json.dumps({"api_key": KEY, **greeting}))
        return link

    async def work() -> None:
        links = [await greet("/ws/device", type="device_auth", source_id=f"rig-{number:02}") for number in range(20)]
        links.append(await greet("/v1/sources/rig-00/metrics/stream", type="auth"))
        await asyncio.to_thread(eventually, lambda: len(secure.core.sockets) == len(links))
        began = time.monotonic()
        await asyncio.to_thread(secure.close)
        assert time.monotonic() - began < 5.0
        for link in links:
            await asyncio.wait_for(link.wait_closed(), PATIENCE_S)
        assert {(link.close_code, link.close_reason) for link in links} == {(1001, "gateway is shutting down")}

    with trusting.wrap_socket(raw(), server_hostname="127.0.0.1") as silent:
        silent.sendall(b"POST /ingest HTTP/1.1\r\n")  # which never goes on, and does not answer the end of TLS
        asyncio.run(asyncio.wait_for(work(), 4 * PATIENCE_S))
