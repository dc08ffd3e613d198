"""The hosts of the settings one by one: the proxy, the name, TCP, TLS, and what answers at each address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from plexus.adapters.transport.addresses import Address, without_user
from plexus.adapters.transport.dialing import Deadline, Proxy, proxy_for, reach
from plexus.api.doctor import probes, verdicts
from plexus.api.doctor.findings import Finding, fail, failed, ok
from plexus.api.doctor.hosts import Door, Host
from plexus.api.doctor.seen import Heard
from plexus.domain.errors import TransportError


class Network:
    """Looks at hosts. `timeout`: seconds for each step; `wall_s`: seconds since 1970 UTC.

    `heard` grows with every HTTP answer: they also say what time it is. `reached` are the settings whose addresses
    answer as a gateway does.
    """

    def __init__(self, timeout: float, wall_s: Callable[[], float] = time.time) -> None:
        self.heard: list[Heard] = []
        self.reached: set[str] = set()
        self._timeout = timeout
        self._wall_s = wall_s

    def trust(self) -> Finding:
        """Whom this machine trusts, for hosts with TLS."""
        try:
            return verdicts.trust(probes.trusted())
        except OSError as exc:
            said = f"the certificates of this machine cannot be read: {exc.strerror or exc}"
            return fail("tls", "trust", said, "install the package ca-certificates, and check SSL_CERT_FILE")

    def findings(self, host: Host) -> Iterator[Finding]:
        """The steps towards one host, up to the first that fails."""
        subject = str(host.address)
        try:
            proxy = proxy_for(host.address)
        except TransportError as exc:
            yield failed("proxy", subject, exc)
            return
        yield _proxy(subject, proxy)
        for step in (self._name, self._tcp, self._tunnel, self._tls):
            found = step(host.address, proxy)
            if found is not None:
                yield found
                if found.state == "fail":
                    return
        for door in host.doors:
            found = self._door(door, host.address)
            if found.state != "fail":
                self.reached.add(door.name)
            yield found

    def _name(self, address: Address, proxy: Proxy | None) -> Finding:
        there = proxy.address if proxy else address
        try:
            found = probes.resolve(there.host, there.port)
        except TransportError as exc:
            return failed("dns", there.host, exc)
        return ok("dns", there.host, f"is {', '.join(found[:4])}")

    def _tcp(self, address: Address, proxy: Proxy | None) -> Finding:
        there = proxy.address if proxy else address
        began = time.monotonic()
        try:
            reach(address, Deadline(self._timeout))
        except TransportError as exc:
            return failed("tcp", str(there), exc)
        return ok("tcp", str(there), f"takes connections, in {(time.monotonic() - began) * 1000.0:.0f} ms")

    def _tunnel(self, address: Address, proxy: Proxy | None) -> Finding | None:
        """Whether the proxy lets through to a host without TLS; with TLS that shows with it."""
        if proxy is None or address.secure:
            return None
        try:
            probes.connect(address, self._timeout)
        except TransportError as exc:
            return failed("proxy", str(address), exc)
        return None

    def _tls(self, address: Address, proxy: Proxy | None) -> Finding | None:
        if not address.secure:
            return None
        try:
            seen = probes.secure(address, self._timeout)
        except TransportError as exc:
            # What TLS says has a cause of its own; without one it is the proxy that refused.
            return failed("proxy" if proxy is not None and exc.__cause__ is None else "tls", str(address), exc)
        return verdicts.certificate(str(address), seen, self._wall_s())

    def _door(self, door: Door, address: Address) -> Finding:
        url = without_user(door.url)
        check = "websocket" if door.name == "gateway_ws_url" else "http"
        try:
            if check == "websocket":
                probes.open_websocket(door.url, address, self._timeout)
                return ok(check, url, f"opens ({door.name})")
            heard = probes.head(door.url, address, self._timeout, self._wall_s)
        except TransportError as exc:
            return failed(check, url, exc)
        self.heard.append(heard)
        return verdicts.answer(door.name, url, heard)


def _proxy(subject: str, proxy: Proxy | None) -> Finding:
    named = ", ".join(probes.proxies_named())
    if proxy is not None:
        login = " with a login" if proxy.login is not None else ""
        return ok("proxy", subject, f"is reached through the proxy {proxy.address}{login} ({named or 'the system'})")
    return ok("proxy", subject, f"is reached directly ({f'{named} do not apply' if named else 'no proxy is named'})")
