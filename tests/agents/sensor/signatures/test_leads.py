"""What leads to a rule stands on the wire whenever the rule holds."""

import pytest

from agents.sensor.signatures.leads import leads_of
from rules.signatures.parse import read_rule


def leads(options: str, header: str = "http any any -> any any") -> list[bytes]:
    found = leads_of(read_rule(f'alert {header} (msg:"x"; {options} sid:1;)'))
    return [lead.expression for lead in found]


def spelled(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ('content:"abcd"; content:"abcdef";', b"abcdef"),
        ('content:"abcd"; fast_pattern; content:"abcdef";', b"abcd"),
        # Everyday text leads only where there is no other.
        ('http.method; content:"POST"; http.uri; content:"/xy";', b"/xy"),
        ('http.method; content:"POST";', b"POST"),
        ('http.user_agent; content:"Mozilla/5.0"; depth:11; http.uri; content:"/xyz";', b"/xyz"),
        ('http.host; dotprefix; content:".evil.example"; endswith;', b"evil.example"),
    ],
)
def test_texts(options: str, text: bytes) -> None:
    assert leads(options) == [spelled(text)]


def test_names_in_dns_have_lengths_for_dots() -> None:
    found = leads('dns.query; dotprefix; content:".a.bc";', "dns any any -> any any")
    assert found == [spelled(b"a") + b"[\\x01-\\x3f]" + spelled(b"bc")]


BLANK = b"[ \\t\\r]*"


def test_a_line_of_a_header_may_have_other_blanks_on_the_wire() -> None:
    colon = BLANK + b":" + BLANK
    wanted = [spelled(b"X-Evil") + colon + spelled(b"none") + BLANK + b"\\n"]
    assert leads('http.header; content:"X-Evil: none|0d 0a|Host: ";') == wanted
    wanted = [spelled(b"user-agent") + colon + spelled(b"ie") + BLANK + b"\\n"]
    for options in ("bsize:2;", "startswith; endswith;", "depth:2; isdataat:!1,relative;"):
        assert leads(f'http.user_agent; content:"ie"; {options}') == wanted
    names = leads('http.header_names; content:"|0d 0a|Zeta|0d 0a|Rho|0d 0a|";')
    assert names == [b"\\n" + BLANK + spelled(b"Zeta") + BLANK + b"(?::|\\n)"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        # Each stands in everyday traffic, in different messages.
        ('http.method; content:"GET"; http.user_agent; content:" Firefox/";', 2),
        ('http.method; content:"GET"; http.user_agent; content:" Chrome/";', 1),
        ('http.method; content:"GET"; http.host; content:"1"; startswith;', 1),
        (r'http.method; content:"GET"; http.uri; pcre:"/^\/[a-f]{40}$/";', 1),
    ],
)
def test_what_is_rare_only_together_leads_together(options: str, count: int) -> None:
    assert len(leads(options)) == count


def test_what_stands_nowhere_on_the_wire_does_not_lead() -> None:
    tls = "tls any any -> any any"
    assert leads('ja3.hash; content:"0123456789abcdef";', tls) == [b"^\\x16\\x03...\\x01"]
    assert leads('http.uri; url_decode; content:"abcdef";')[0].startswith(b"^(?:GET")
    assert leads('http.stat_code; content:!"200";') == [b"^HTTP/"]
    assert leads('content:!"200";', "tcp any any -> any any") == []
