"""RFC 4765, in the style of Prelude; and what nobody should send."""

from __future__ import annotations

import pytest

from agents.idmef.complaints import IdmefError
from agents.idmef.times import iso_us, ntp_us
from agents.idmef.xml_reading import alerts_in, message_of, report_of
from tests.agents.idmef.samples import PRELUDE


def read(text: str) -> list:
    return [report_of(one, place) for place, one in alerts_in(message_of(text.encode()))]


def test_preludes_alert() -> None:
    first, second = read(PRELUDE)
    assert first.place == "alert 1, line 3"
    assert first.id == "d2e71bf2-4e65-11e0"
    assert [str(a) for a in (*first.sources, *first.targets)] == ["192.0.2.66", "198.51.100.18"]
    assert (first.target_port, first.protocol, first.users) == (22, 6, ("root",))
    assert first.begin_us == ntp_us("0xee5b9ac0.0x80000000")
    assert first.text == "ET SCAN Potential SSH port scan"
    assert first.more == "probing; ip_ttl: 52"
    assert (first.confidence, first.severity) == (0.9, 0.6)
    assert first.categories == ("Recon.Other",)
    assert first.references == ("CVE-2018-15473",)
    assert first.analyzer == "snort"  # prelude-manager passed it on
    assert not first.forged
    assert [str(a) for a in (*second.sources, *second.targets)] == [
        "2001:db8::66",
        "2001:db8:1::18",
    ]
    assert second.begin_us == iso_us("2026-09-21T12:00:01Z")
    assert (second.severity, second.confidence, second.protocol) == (0.9, None, 6)


def test_without_a_namespace_and_with_that_of_the_drafts() -> None:
    plain = PRELUDE.replace("idmef:", "").replace(' xmlns:idmef="http://iana.org/idmef"', "")
    assert read(plain) == read(PRELUDE)
    drafts = PRELUDE.replace("http://iana.org/idmef", "urn:iana:xml:ns:idmef")
    assert read(drafts) == read(PRELUDE)
    with pytest.raises(IdmefError, match=r"root '\{http://evil\}IDMEF-Message': IDMEF-Message is"):
        read(PRELUDE.replace("http://iana.org/idmef", "http://evil"))


def test_a_source_that_is_said_to_be_forged() -> None:
    first, _ = read(PRELUDE.replace('spoofed="unknown"', 'spoofed="yes"'))
    assert first.forged


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("192.0.2.66", "192.0.2.666", r"alert 1, line 3: Source\.Node\.Address\.address '192\.0\."),
        (
            "<idmef:port>22<",
            "<idmef:port>ssh<",
            r"alert 1, line 3: Target\.Service\.port 'ssh': no",
        ),
        ('number="6"', 'number="600"', r"alert 1, .*iana_protocol_number '600'"),
        (">0.9<", ">NaN<", r"alert 1, line 3: Confidence 'NaN': not a number in \[0, 1\]"),
        ('rating="numeric"', 'rating="sure"', "Confidence rating 'sure': not low"),
        ('severity="medium"', 'severity="bad"', "Impact severity 'bad': not one of info"),
        ('category="ipv4-addr"', 'category="ipv5-addr"', "Address category 'ipv5-addr': not one"),
        ("0xee5b9ac0.0x80000000", "now", "CreateTime ntpstamp 'now': not an NTP"),
        ("2026-09-21T12:00:01Z<", "\u202enow<", r"alert 2, line 43: CreateTime '\\u202enow'"),
        (' text="Remote Login"', "", "alert 2, line 43: Classification: there is none with"),
    ],
)
def test_a_refusal_names_place_element_and_value(old: str, new: str, words: str) -> None:
    assert old in PRELUDE
    with pytest.raises(IdmefError, match=words):
        read(PRELUDE.replace(old, new))


LAUGHS = """<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<IDMEF-Message><Alert>&b;</Alert></IDMEF-Message>"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, r"document: XML: line 1: document type declarations"),
        (PRELUDE[:-30], r"document: XML: line \d+: not well-formed XML"),
        ("", "document: XML: line 1: not well-formed XML: no element found"),
        ("<IDMEF-Message>" + "<a>" * 50, "XML: line 1: elements lie more than 24 deep"),
        ("<IDMEF-Message>" + "<a/>" * 20_001, "XML: line 1: more than 20000 elements"),
        (f"<IDMEF-Message>{'<Alert/>' * 201}</IDMEF-Message>", "Alert '201': more than 200"),
        ("<html/>", "line 1: root 'html': IDMEF-Message is wanted"),
    ],
)
def test_what_is_no_message(text: str, words: str) -> None:
    with pytest.raises(IdmefError, match=words):
        message_of(text.encode())


def test_an_encoding_that_is_not_known() -> None:
    with pytest.raises(IdmefError, match="line 1: "):
        message_of(b'<?xml version="1.0" encoding="klingon"?><IDMEF-Message/>')
