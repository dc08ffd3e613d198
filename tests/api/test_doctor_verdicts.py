"""What was seen, judged."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

import pytest

from plexus.api.doctor import verdicts
from plexus.api.doctor.findings import failed
from plexus.api.doctor.seen import Heard, Secured, Trust
from plexus.api.doctor.software import extras
from plexus.domain.errors import TransportError

NOW_S = 1_777_636_800.0
DAY_S = 86_400


def heard(status: int = 401, **headers: str) -> Heard:
    return Heard(status, {name.replace("_", "-"): text for name, text in headers.items()}, NOW_S, NOW_S)


def dated(ahead_s: float) -> Heard:
    """An answer of a gateway whose clock is so much ahead of ours."""
    return heard(date=formatdate(NOW_S + ahead_s, usegmt=True))


@pytest.mark.parametrize(
    ("ahead_s", "state", "words"),
    [
        (0, "ok", "within"),
        (1, "ok", "within"),
        (-3, "ok", "within"),
        (60, "warn", "60 s behind"),
        (-60, "warn", "58 s ahead"),
        (7_200, "fail", "2 h behind"),
        (-10 * DAY_S, "fail", "10 days ahead"),
    ],
)
def test_a_clock_is_compared_with_the_gateways(ahead_s: float, state: str, words: str) -> None:
    found = verdicts.clock([dated(ahead_s)])
    assert (found.state, words in found.said) == (state, True), found
    assert bool(found.advice) is (state != "ok")


def test_a_gateway_that_tells_microseconds_is_believed_to_the_microsecond() -> None:
    at_us = int((NOW_S + 4.0) * 1e6)
    found = verdicts.clock([heard(x_plexus_time_us=f"{at_us},{at_us}")])
    assert (found.state, "at least 4 s behind" in found.said) == ("warn", True)


def test_several_answers_narrow_it_down() -> None:
    one, other = dated(2.0), heard(date=formatdate(NOW_S + 3.0, usegmt=True))
    assert verdicts.clock([one]).state == "ok"
    assert verdicts.clock([one, other]).state == "warn"


def test_hosts_that_disagree_do_not_confuse_it() -> None:
    assert verdicts.clock([dated(0), dated(9_000)]).state == "ok"


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}, {"x_plexus_time_us": "soon"}])
def test_without_a_time_it_says_so(headers: dict[str, str]) -> None:
    found = verdicts.clock([heard(401, **headers)])
    assert (found.state, "date -u" in found.advice) == ("warn", True)


@pytest.mark.parametrize(("days", "state"), [(90, "ok"), (14, "ok"), (13, "warn"), (0, "warn")])
def test_a_certificate_that_ends_soon_is_a_warning(days: int, state: str) -> None:
    until = formatdate(NOW_S + days * DAY_S + 60, usegmt=True)
    # "Fri, 01 May 2026 12:01:00 GMT" as a certificate has it: "May 01 12:01:00 2026 GMT".
    _, day, month, year, clock, _ = until.split()
    certificate: Mapping[str, object] = {
        "notAfter": f"{month} {day} {clock} {year} GMT",
        "issuer": ((("organizationName", "Proof Authority"),),),
    }
    found = verdicts.certificate("gateway.test:443", Secured("TLSv1.3", certificate), NOW_S)
    assert found.state == state
    assert f"Proof Authority and valid for {days:,} more days" in found.said


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (Trust("", is_there=False, authorities=142, directory=""), "ok", "142 authorities of the system's store"),
        (Trust("", is_there=False, authorities=0, directory="/etc/certs"), "ok", "those in /etc/certs"),
        (Trust("/a.pem", is_there=True, authorities=1, directory=""), "ok", "of /a.pem"),
        (Trust("/a.pem", is_there=False, authorities=0, directory="/etc/certs"), "fail", "/a.pem, which is not there"),
        (Trust("/a.pem", is_there=True, authorities=0, directory="/etc/certs"), "warn", "holds no certificate"),
        (Trust("", is_there=False, authorities=0, directory=""), "fail", "no store of certificates"),
    ],
)
def test_who_is_trusted_is_told(seen: Trust, state: str, words: str) -> None:
    found = verdicts.trust(seen)
    assert (found.state, words in found.said) == (state, True)


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [
        ("gateway_url", 405, "ok"),
        ("gateway_url", 401, "ok"),
        ("api_url", 401, "ok"),
        ("api_url", 405, "fail"),
        ("api_url", 200, "fail"),
        ("app_url", 0, "fail"),
        ("app_url", 404, "fail"),
        ("app_url", 407, "fail"),
        ("app_url", 421, "fail"),
        ("app_url", 503, "fail"),
    ],
)
def test_only_what_a_gateway_answers_is_well(name: str, status: int, state: str) -> None:
    found = verdicts.answer(name, "https://gateway.test/x", heard(status))
    assert found.state == state
    assert bool(found.advice) is (state == "fail")


def test_a_redirect_says_where_to() -> None:
    found = verdicts.answer("app_url", "http://gateway.test", heard(302, location="https://login.example/"))
    assert "redirects to https://login.example/" in found.said


@pytest.mark.parametrize(
    ("held", "state"),
    [
        (("read", "write"), "ok"),
        (("admin",), "ok"),
        (("write",), "warn"),
        (("read",), "warn"),
        (("commands",), "fail"),
        ((), "fail"),
    ],
)
def test_scopes_say_what_a_key_is_good_for(held: tuple[str, ...], state: str) -> None:
    assert verdicts.scopes("plx_…", "default", held).state == state


@pytest.mark.parametrize(("free", "state"), [(10**12, "ok"), (50 * 1024**2, "warn"), (1024, "fail"), (0, "fail")])
def test_little_room_is_a_warning_and_none_a_failure(free: int, state: str) -> None:
    assert verdicts.room("/home/pi", free).state == state


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**4, "5.0 TiB")])
def test_bytes_are_shown_for_a_person(count: int, text: str) -> None:
    assert verdicts.size(count) == text


def test_what_waits_where_nothing_runs_is_a_warning() -> None:
    assert verdicts.waiting("spool-a-1.db", 0, 4096).state == "ok"
    found = verdicts.waiting("spool-a-1.db", 1234, 4096)
    assert (found.state, "1,234 points" in found.said) == ("warn", True)


def test_our_own_errors_are_parted_into_what_happened_and_what_to_do() -> None:
    two = failed("tls", "a:1", TransportError("the certificate of a:1 is not accepted: expired; check the clock: now"))
    assert (two.said, two.advice) == ("the certificate of a:1 is not accepted: expired", "check the clock: now")
    one = failed("tcp", "a:1", TransportError("a:1 refuses connections: check the port"))
    assert (one.said, one.advice) == ("a:1 refuses connections", "check the port")
    none = failed("settings", "", TransportError("it broke"))
    assert (none.said, bool(none.advice)) == ("it broke", True)


def test_extras_are_read_from_the_metadata_without_those_of_the_developers() -> None:
    requirements = ["attrs>=23", 'mcap>=1; extra == "mcap"', "numpy>=1; extra == 'tables'", 'pytest; extra == "dev"']
    assert extras(requirements) == {"mcap": ["mcap"], "tables": ["numpy"]}
