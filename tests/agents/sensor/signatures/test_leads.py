"""What leads to a rule stands on the wire whenever the rule holds."""

import pytest

from agents.sensor.signatures.leads import lead_of
from rules.signatures.parse import read_rule


def lead(options: str, header: str = "http any any -> any any") -> bytes | None:
    found = lead_of(read_rule(f'alert {header} (msg:"x"; {options} sid:1;)'))
    return None if found is None else found.expression


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
        ('http.header_names; content:"|0d 0a|Zeta|0d 0a|Rho|0d 0a|";', b"Zeta"),
        ('http.host; dotprefix; content:".evil.example"; endswith;', b"evil.example"),
    ],
)
def test_texts(options: str, text: bytes) -> None:
    assert lead(options) == spelled(text)


def test_names_in_dns_have_lengths_for_dots() -> None:
    found = lead('dns.query; dotprefix; content:".a.bc";', "dns any any -> any any")
    assert found == spelled(b"a") + b"[\\x01-\\x3f]" + spelled(b"bc")


def test_a_line_of_a_header_may_have_other_blanks_on_the_wire() -> None:
    blank = b"[ \\t\\r]*"
    wanted = spelled(b"X-Evil") + blank + b":" + blank + spelled(b"none")
    assert lead('http.header; content:"X-Evil: none|0d 0a|Host: ";') == wanted
    wanted = spelled(b"user-agent") + blank + b":" + blank + spelled(b"ie") + blank + b"\\n"
    for options in ("bsize:2;", "startswith; endswith;", "depth:2; isdataat:!1,relative;"):
        assert lead(f'http.user_agent; content:"ie"; {options}') == wanted
    assert lead('http.user_agent; content:"ie";') == spelled(b"ie")


def test_what_stands_nowhere_on_the_wire_does_not_lead() -> None:
    tls = "tls any any -> any any"
    assert lead('ja3.hash; content:"0123456789abcdef";', tls) == b"^\\x16\\x03...\\x01"
    assert lead('http.uri; url_decode; content:"abcdef";').startswith(b"^(?:GET")  # type: ignore[union-attr]
    assert lead('http.stat_code; content:!"200";') == b"^HTTP/"
    assert lead('content:!"200";', "tcp any any -> any any") is None
