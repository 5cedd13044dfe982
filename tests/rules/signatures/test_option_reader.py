"""Options in their order: which buffer each looks into, and what does not go together."""

from __future__ import annotations

import pytest

from rules.signatures.parse import Signature, read_rule


def rule(options: str, header: str = "http any any -> any any") -> Signature:
    return read_rule(f'alert {header} (msg:"x"; {options} sid:1;)')


def buffers(options: str, header: str = "http any any -> any any") -> list[str]:
    found = rule(options, header)
    assert found.executable, found.unsupported
    return [check.buffer for check in found.checks]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('http.uri; content:"a"; content:"b"; http.host; content:"c";',
         ["http.uri", "http.uri", "http.host"]),
        ('http.uri; content:"a"; pkt_data; content:"b";', ["http.uri", "payload"]),
        ('content:"a"; http_uri; content:"b";', ["http.uri", "payload"]),
        ('http.host; dotprefix; to_lowercase; content:"a";', ["http.host|dotprefix|to_lowercase"]),
        ('http.uri; content:"a"; isdataat:!1,relative; bsize:>3; pcre:"/x/R";', ["http.uri"] * 4),
        ('content:"a"; http_uri; isdataat:2,relative; isdataat:9;',
         ["http.uri", "http.uri", "payload"]),
        ('content:"a"; http_client_body; pcre:"/b/RP";', ["http.request_body"] * 2),
        ("urilen:>5;", ["http.uri"]),
        ("urilen:5,raw;", ["http.uri.raw"]),
        ('file_data; content:"a";', ["file.data"]),
    ],
)  # fmt: skip
def test_where_each_looks(options: str, expected: list[str]) -> None:
    assert buffers(options) == expected


def test_a_modifier_belongs_to_the_last_content_whatever_stands_between() -> None:
    content, _ = rule('http.host; content:"a"; bsize:3; nocase; fast_pattern;').checks
    assert (content.nocase, content.fast) == (True, True)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "header", "to_server", "application"),
    [
        ('http.uri; content:"a";', "tcp any any -> any 80", True, "http"),
        ('http.stat_code; content:"200";', "http any any -> any any", False, "http"),
        ('http.header; content:"a";', "http any any -> any any", None, "http"),
        ('tls.cert_subject; content:"a";', "tls any any -> any any", False, "tls"),
        ('content:"a";', "smb any any -> any any", None, "smb"),
    ],
)
def test_buffers_bring_protocol_and_direction(
    options: str, header: str, to_server: bool | None, application: str
) -> None:
    found = rule(options, header)
    assert found.executable
    assert (found.header.to_server, found.header.application) == (to_server, application)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('content:"a"; http_uri; pcre:"/b/R";', "pcre (relative to nothing in its buffer)"),
        ('pcre:"/b/R";', "pcre (relative to nothing in its buffer)"),
        ('http.uri; content:"a"; http.stat_code; content:"2";', "buffers of both directions"),
        ('flow:to_client; http.uri; content:"a";', "buffers of both directions"),
        ('flow:to_server; file.data; content:"a";', "file.data (to_server)"),
        ('http.uri; content:"a"; tls.sni; content:"b";', "buffers of two protocols"),
        ('tls.sni; content:"b";', "tls.sni (protocol http)"),
        ("bsize:3;", "bsize (without a buffer before it)"),
        ("dotprefix;", "dotprefix (without a buffer before it)"),
        ('http.host; content:"a"; dotprefix;', "dotprefix (without a buffer before it)"),
        ('http.uri; pcre:"/a/H";', "pcre (buffer within another)"),
        ('http.uri; content:"a"; http_host;', "http_host (within another buffer)"),
        ('content:"a"; http_uri; http_cookie;', "http_cookie (of a content in http.uri)"),
        ('smb.named_pipe; content:"a";', "smb.named_pipe"),
        ('http.uri; base64_decode:bytes 4; content:"a";', "base64_decode"),
        ("byte_test:4,>,1,0,string,little;", "byte_test (order of bytes of a string)"),
        ("byte_test:4,>,1,0,dec;", "byte_test (base without string)"),
        ("byte_test:24,>,1,0,string;", "byte_test (number of bytes)"),
    ],
)
def test_what_can_not_be_right_is_refused(options: str, reason: str) -> None:
    assert rule(options).unsupported == (reason,)
