"""SIP as its clients and scanners write it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads import sip
from agents.sensor.payloads.sip import BEGINNINGS, FRAUD, NUMBER, SCANNER, SipReader

CALLER, SERVER = b"c" * 16, b"s" * 16


def message(first: str, *more: str, number: int = 1, method: str = "") -> bytes:
    method = method or first.split()[0]
    lines = [first, "Via: SIP/2.0/UDP a:5060", f"Call-ID: a{number}", f"CSeq: {number}  {method}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def registration(number: int, *, credentials: bool = True) -> bytes:
    more = ('authorization: Digest username="100"',) if credentials else ()
    return message("REGISTER sip:h SIP/2.0", *more, number=number)


def refusal(status: str, number: int, *more: str, method: str = "REGISTER") -> bytes:
    return message(f"SIP/2.0 {status} No", *more, number=number, method=method)


@pytest.mark.parametrize(
    ("credentials", "status", "more", "method", "refused"),
    [
        (True, "401", (), "REGISTER", 1),
        (True, "407", (), "REGISTER", 1),
        (True, "403", (), "REGISTER", 1),
        (False, "403", (), "REGISTER", 1),
        (False, "404", (), "REGISTER", 1),
        # What every telephone gets first, and from time to time.
        (False, "401", (), "REGISTER", 0),
        (True, "401", ("WWW-Authenticate: Digest stale=TRUE",), "REGISTER", 0),
        (True, "404", (), "INVITE", 0),
        (True, "200", (), "REGISTER", 0),
    ],
)
def test_refusals_are_of_registrations_with_credentials(
    credentials: bool, status: str, more: tuple[str, ...], method: str, refused: int
) -> None:
    reader = SipReader()
    asked = registration(5, credentials=credentials)
    assert reader.look(asked, CALLER, SERVER, 0) == (0, int(credentials), 0)
    answer = refusal(status, 5, *more, method=method)
    assert reader.look(answer, SERVER, CALLER, 1) == (refused, 0, 0)


def test_a_challenge_answers_the_registration_of_its_call_and_number_once() -> None:
    reader = SipReader()
    reader.look(registration(5), CALLER, SERVER, 0)
    assert reader.look(refusal("401", 6), SERVER, CALLER, 1)[0] == 0
    assert reader.look(refusal("401", 5), SERVER, b"o" * 16, 1)[0] == 0
    assert reader.look(refusal("401", 5), SERVER, CALLER, 1)[0] == 1
    assert reader.look(refusal("401", 5), SERVER, CALLER, 1)[0] == 0
    reader.look(registration(7), CALLER, SERVER, 0)
    assert reader.look(refusal("401", 7), SERVER, CALLER, sip.PENDING_US + 1)[0] == 0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("User-Agent: friendly-scanner", SCANNER),
        ("user-agent :  SIPVicious", SCANNER),
        ('From: "sipvicious"<sip:100@1.1.1.1>;tag=6', SCANNER),
        ("User-Agent: sipcli/v1.8", SCANNER),
        ("User-Agent: Asterisk PBX 18", 0),
        ("Subject: about the friendly-scanner", 0),
    ],
)
def test_scanners_name_themselves(header: str, expected: int) -> None:
    for method in ("OPTIONS", "REGISTER", "INVITE"):
        asked = message(f"{method} sip:100@h SIP/2.0", header)
        assert SipReader().look(asked, CALLER, SERVER, 0)[2] == expected


def dial(reader: SipReader, user: str, at_us: int = 0, source: bytes = CALLER) -> int:
    scheme = "" if user.startswith("tel:") else "sip:"
    return reader.look(message(f"INVITE {scheme}{user} SIP/2.0"), source, SERVER, at_us)[2]


def test_one_number_behind_several_prefixes_is_fraud() -> None:
    reader = SipReader()
    assert dial(reader, "00972592277524@h") == NUMBER
    assert dial(reader, "00972592277524@h") == NUMBER  # again is no other prefix
    assert dial(reader, "900972592277524;phone-context=x@h") == NUMBER
    assert dial(reader, "tel:+972-59-2277524") == NUMBER | FRAUD
    assert dial(reader, "011972592277524@h", source=b"o" * 16) == NUMBER
    assert dial(reader, "011972592277524@h", sip.WINDOW_US + 1) == NUMBER


@pytest.mark.parametrize("user", ["alice@h", "911@h", "49301234@h", "h"])
def test_extensions_and_names_are_no_numbers(user: str) -> None:
    assert dial(SipReader(), user) == 0


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip, "MAX_PENDING", 10)
    monkeypatch.setattr(sip, "MAX_DIALLED", 10)
    reader = SipReader()
    for number in range(30):
        reader.look(registration(number), CALLER, SERVER, 0)
        dial(reader, f"{number + 10**12}@h")
    assert (len(reader._pending), len(reader._dialled)) == (10, 10)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=200), st.integers(0, 2**62))
def test_no_bytes_make_it_fail(beginning: bytes, rest: bytes, now_us: int) -> None:
    for payload in (beginning + rest, b"SIP/2.0 401 " + rest, b"INVITE sip:1" + rest):
        refused, logins, _ = SipReader().look(payload, CALLER, SERVER, now_us)
        assert (refused, logins) in ((0, 0), (0, 1))
