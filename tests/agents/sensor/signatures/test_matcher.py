"""Rules of our own making against packets of our own making."""

from __future__ import annotations

import gzip
import os
import random
import struct
import time
import zlib
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import Packets
from agents.sensor.signatures.directions import FlowStates
from agents.sensor.signatures.header_masks import VARIABLES, read_addresses, read_ports
from agents.sensor.signatures.matcher import SignatureMatcher
from agents.sensor.signatures.message_buffers import Payload
from agents.sensor.signatures.payload_tests import BudgetSpent, PayloadTest
from datasets.captures.pcap import RawPackets, read_capture
from rules.signatures.parse import Signature, load_signatures, read_rule

CLIENT, SERVER = "198.51.100.7", "192.0.2.80"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def tcp(
    payload: bytes = b"", sport: int = 40000, dport: int = 80, flags: int = PSH | ACK,
    src: str = CLIENT, dst: str = SERVER,
) -> bytes:  # fmt: skip
    head = struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 9, 0, 0)
    return ip(6, head + payload, src, dst)


def udp(payload: bytes, sport: int = 40000, dport: int = 53) -> bytes:
    return ip(17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload)


def icmp(kind: int, code: int, identity: int, payload: bytes = b"") -> bytes:
    return ip(1, struct.pack(">BBHHH", kind, code, 0, identity, 5) + payload)


def ip(protocol: int, body: bytes, src: str = CLIENT, dst: str = SERVER) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    ends = ip_address(src).packed + ip_address(dst).packed
    return bytes(12) + b"\x08\0" + head + ends + body


def decoded(*frames: bytes) -> Packets:
    lengths = np.array([len(f) for f in frames])
    raw = RawPackets(
        np.frombuffer(b"".join(frames), np.uint8),
        np.cumsum(lengths) - lengths, lengths, lengths, np.arange(len(frames)), 1,
    )  # fmt: skip
    return decode(raw)


def rule(options: str, header: str = "tcp any any -> any any", sid: int = 1) -> Signature:
    signature = read_rule(f'alert {header} (msg:"example"; {options} sid:{sid};)')
    assert signature.executable, signature.unsupported
    return signature


def matched(signature: Signature, *frames: bytes, **variables: str) -> list[int]:
    """Packets that match, by both ways of looking."""
    fast = SignatureMatcher([signature], variables).match(decoded(*frames))
    plain = SignatureMatcher([signature], variables, multi_pattern=False).match(decoded(*frames))
    assert fast.packet.tolist() == plain.packet.tolist()
    return fast.packet.tolist()


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        ('content:"abc";', b"xxabcxx", b"xxABCxx"),
        ('content:"abc"; nocase;', b"xxaBCxx", b"xxabxx"),
        ('content:"abc"; offset:2; depth:4;', b"xxxabc", b"xxxxabc"),
        ('content:"abc"; offset:2;', b"xxabc", b"xabc"),
        ('content:"abc"; depth:3;', b"abcx", b"xabc"),
        ('content:"ab"; content:"cd"; distance:1;', b"abxcd", b"abcd"),
        ('content:"ab"; content:"cd"; within:3;', b"abxcd", b"abxxcd"),
        ('content:"ab"; content:"cd"; distance:2; within:3;', b"abxxxcd", b"abxxxxcd"),
        ('content:"ab"; content:"cd"; distance:-4; within:2;', b"cdab", b"abcd"),
        # The first "ab" leads nowhere: the second must be tried.
        ('content:"ab"; content:"cd"; within:2;', b"ab ab abcd", b"ab ab ab cd"),
        ('content:"ab"; content:!"cd"; within:4;', b"abxxxxcd", b"abxxcd"),
        ('content:"ab"; content:!"cd";', b"abx", b"abxcd"),
        ('content:!"cd";', b"ab", b"cd"),
        ('content:"|00 ff|a"; startswith;', b"\x00\xffab", b"x\x00\xffa"),
        ('content:"ab"; endswith;', b"abxab", b"abxa"),
        ('content:"a"; isdataat:3,relative;', b"a123", b"a12"),
        ('content:"a"; isdataat:!3,relative;', b"a12", b"a123"),
        (r'pcre:"/^ab\d{3}$/i";', b"AB123", b"ab1234"),
        (r'pcre:"/b$/";', b"ab\n", b"ab\n\n"),
        (r'pcre:"/^b$/m";', b"a\nb\nc", b"abc"),
        (r'pcre:"/a.b/s";', b"a\nb", b"a\n\nb"),
        (r'content:"ab"; pcre:"/^\d\d/R";', b"ab12", b"abx12"),
        (r'content:"ab"; pcre:!"/\d/";', b"ab", b"ab1"),
        ('content:"n="; byte_test:5,>,900,0,relative,string;', b"n=901; ", b"n=901;"),
        ("byte_test:2,=,0x0102,1;", b"\0\x01\x02", b"\0\x02\x01"),
        ("byte_test:2,=,0x0102,1,little;", b"\0\x02\x01", b"\0\x01\x02"),
        ("byte_test:1,&,8,0;", b"\x0c", b"\x04"),
        ("byte_test:1,!&,8,0;", b"\x04", b"\x0c"),
        ('byte_jump:1,0; content:"ab"; within:2;', b"\x02xxab", b"\x03xxab"),
        ('byte_jump:1,0,align; content:"ab"; within:2;', b"\x02xxxxab", b"\x02xxab"),
        ('byte_jump:1,0,from_beginning; content:"ab"; within:2;', b"\x03xxab", b"\x02xxab"),
        # From the begin a byte of that number has to be there, relative so many of them.
        ("isdataat:3;", b"0123", b"012"),
        ("isdataat:!3;", b"012", b"0123"),
        ('content:"ab"; content:"cd"; distance:-9; within:11;', b"cdab", b"abxxcd"),
        ('content:!"cd"; offset:2; depth:2;', b"cdxxcd", b"xxcd"),
        ('content:"a|4a|"; nocase;', b"Aj", b"A|"),
        ('content:"a|7c 3b|b|5c|";', b"a|;b\\", b"a|;b/"),
        (
            'byte_jump:1,0,multiplier 2,post_offset -1; content:"ab"; within:2;',
            b"\2xxxab",
            b"\2xxab",
        ),
        ("dsize:>3;", b"1234", b"123"),
        ("dsize:2<>4;", b"123", b"1234"),
    ],
)
def test_payload_options(options: str, yes: bytes, no: bytes) -> None:
    assert matched(rule(options), tcp(no), tcp(yes), tcp(no)) == [1]


def request(target: str, rest: str = "", method: str = "GET") -> bytes:
    return tcp(f"{method} {target} HTTP/1.1\r\nHost: Example.org:80\r\n{rest}".encode())


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        ('uricontent:"/cgi/x";', request("/cgi/x"), request("/", "Referer: /cgi/x\r\n\r\n")),
        # What is written in hexadecimal is found too; the raw target is as it came.
        ('uricontent:"/cgi/x";', request("/%63gi/%78"), request("/%64gi/x")),
        ('content:"%63"; http_raw_uri;', request("/%63gi"), request("/cgi")),
        ('content:"POST"; http_method;', request("/", method="POST"), request("/POST")),
        ('content:"x=1"; http_client_body;', request("/", "\r\nx=1"), request("/x=1", "\r\n")),
        ('content:"id=7"; http_cookie;', request("/", "Cookie: id=7\r\n\r\n"), request("/id=7")),
        ('content:"Bad"; http_user_agent;', request("/", "User-Agent: Bad\r\n"), request("/Bad")),
        ('content:"example.org"; http_host;', request("/"), tcp(b"GET / HTTP/1.0\r\n\r\n")),
        (r'pcre:"/^\/a\d/U";', request("/%611"), request("/b", "X: /a1\r\n\r\n")),
        ("urilen:>4;", request("/1234"), request("/123")),
    ],
)
def test_parts_of_http_requests(options: str, yes: bytes, no: bytes) -> None:
    assert matched(rule(options), no, yes) == [1]


BACK = {"sport": 80, "dport": 40000, "src": SERVER, "dst": CLIENT}
BROWSER = "User-Agent: Mozilla/5.0\r\n\r\n"


@pytest.mark.parametrize(
    "options",
    [
        'content:!"Mozilla"; http_user_agent;',
        'http.user_agent; content:!"Mozilla";',
        r'pcre:!"/Mozilla/V";',
        'http.request_body; content:!"x";',
        "http.cookie; bsize:<9;",
        'http.stat_code; content:!"200";',
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "http"])
def test_what_is_not_there_lacks_nothing(options: str, protocol: str) -> None:
    """Handshake, a browser's request, the server's answer, and SSH: no buffer, no match."""
    frames = [
        *handshake()[:3], request("/", BROWSER), tcp(b"HTTP/1.1 200 OK\r\n\r\n", **BACK),
        tcp(b"SSH-2.0-x\r\n", dport=22), tcp(),
    ]  # fmt: skip
    assert matched(rule(options, f"{protocol} any any -> any any"), *frames) == []


@pytest.mark.parametrize("options", ['http.header; content:!"Referer";', "http.start; bsize:<999;"])
def test_what_a_cut_head_lacks_is_not_known(options: str) -> None:
    assert matched(rule(options), request("/"), request("/", "X: y\r\n\r\n")) == [1]


def test_a_servers_packet_is_not_tested_as_the_clients() -> None:
    signature = rule('http.uri; content:"/evil";')
    echo = tcp(b"GET /evil HTTP/1.1\r\n\r\n", **BACK)
    assert matched(signature, *handshake()[:3], request("/evil"), echo) == [3]


@pytest.mark.parametrize("flags", [SYN, SYN | ACK, RST, RST | ACK])
def test_data_that_opens_or_resets_is_not_established(flags: int) -> None:
    signature = rule('flow:established; content:"evil";')
    assert matched(signature, *handshake()[:3], tcp(b"evil", flags=flags)) == []
    assert matched(rule('http.uri; content:"evil";'), tcp(b"GET /evil HTTP/1.0", flags=flags)) == []


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        # The second expression is relative to what matched in its own buffer.
        (
            'content:"/a"; http_uri; content:"b="; http_client_body; pcre:"/^1/PR";',
            request("/a", "\r\nb=1"),
            request("/a1", "\r\nb=2"),
        ),
        ("urilen:2;", request("/%61"), request("/1234")),
        ("urilen:4,raw;", request("/%61"), request("/a")),
        ("byte_test:4,=,16,0,string;", tcp(b"0x10"), tcp(b"0016")),
        ("byte_test:4,=,16,0,string,dec;", tcp(b"0016"), tcp(b"16")),
        ("byte_test:0,=,16,2,string,dec;", tcp(b"xx16"), tcp(b"xx17")),
        ("byte_test:2,==,0x0102,0;", tcp(b"\x01\x02"), tcp(b"\x02\x01")),
        ('http.header; content:"X-A: b|0d 0a|";', request("/", "X-A:b\r\n"), request("/")),
        (
            'http.host; dotprefix; content:".example.org"; endswith;',
            request("/"),
            tcp(b"GET / HTTP/1.1\r\nHost: notexample.org\r\n\r\n"),
        ),
    ],
)
def test_options_with_a_qualifier(options: str, yes: bytes, no: bytes) -> None:
    assert matched(rule(options), no, yes) == [1]


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b"some evil text", mtime=0)),
        (b"deflate", zlib.compress(b"some evil text")),
        (b"deflate", zlib.compress(b"some evil text", wbits=-15)),
        (b"identity\r\nTransfer-Encoding: chunked", b"7\r\nsome ev\r\n7\r\nil text\r\n0\r\n\r\n"),
    ],
)
def test_bodies_are_looked_into_as_they_are_meant(coding: bytes, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + b"\r\n\r\n"
    for options in ('file_data; content:"evil";', 'http.response_body; content:"evil";'):
        signature = rule(f"flow:established,to_client; {options}", "http any any -> any any")
        assert matched(signature, *handshake()[:3], request("/"), tcp(head + body, **BACK)) == [4]


def test_names_in_dns_are_found_by_both_ways_of_looking() -> None:
    signature = rule(
        'dns.query; dotprefix; content:".evil.example"; nocase; endswith;', "dns any any -> any any"
    )
    head, tail = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", b"\0\0\x01\0\x01"
    frames = [
        udp(head + b"\x04Evil\x07example" + tail),
        udp(head + b"\x01a\x04evil\x07example" + tail),
        udp(head + b"\x05xevil\x07example" + tail),
        udp(head + b"\x04evil\x07example\x03com" + tail),
        udp(head[:2] + b"\x81" + head[3:] + b"\x04evil\x07example" + tail),
    ]
    # The last is an answer; it comes from the side that asked before.
    assert matched(signature, *frames) == [0, 1]


def test_protocol_http_wants_a_message() -> None:
    signature = rule('content:"abc";', "http any any -> any any")
    assert matched(signature, tcp(b"abc"), request("/abc"), tcp(b"HTTP/1.0 200 abc")) == [1, 2]


@pytest.mark.parametrize(
    ("header", "options", "expected"),
    [
        ("tcp any any -> any 80", "", [0, 1]),
        ("tcp any any -> any [79:81,!80]", "", []),
        ("tcp any any -> any !80", "", [2]),
        ("tcp any any <> any 80", "", [0, 1, 2]),
        ("tcp any 80 -> any 40000", "", [2]),
        ("udp any any -> any 53", "", [3]),
        ("ip any any -> any any", "", [0, 1, 2, 3, 4]),
        ("icmp any any -> any any", "itype:8; icode:0; icmp_id:77; icmp_seq:5;", [4]),
        ("icmp any any -> any any", "itype:0;", []),
        ("icmp any any -> any any", "itype:7<>9;", [4]),
        # What another protocol has in the same place is not meant.
        ("tcp any any -> any any", "itype:80;", []),
        ("ip any any -> any any", "itype:>7;", [4]),
        ("ip any any -> any 53", "", [3]),
        ("ip any any -> any any", "flags:!A;", [0]),
        ("udp any any -> any any", "flags:0;", []),
        ("tcp $NET any -> any any", "", [0, 1]),
        ("tcp !$NET any -> any any", "", [2]),
        ("tcp [198.51.100.0/24,!198.51.100.7] any -> any any", "", []),
        ("tcp any any -> any any", "flags:S;", [0]),
        ("tcp any any -> any any", "flags:A+;", [1, 2]),
        ("tcp any any -> any any", "flags:*SP;", [0, 1, 2]),
        ("tcp any any -> any any", "flags:!A;", [0]),
        ("tcp any any -> any any", "flags:A,P;", [1, 2]),
        ("ip any any -> any any", "ip_proto:17;", [3]),
        ("ip any any -> any any", "ip_proto:>6;", [3]),
        ("ip any any -> any any", "ip_proto:!6;", [3, 4]),
        ("ip any any -> any any", "ip_proto:!6; ip_proto:!1;", [3]),
        ("ip any any -> any any", "sameip;", []),
    ],
)
def test_header_options(header: str, options: str, expected: list[int]) -> None:
    frames = (
        tcp(flags=SYN),
        tcp(b"abc"),
        tcp(b"abc", sport=80, dport=40000, src=SERVER, dst=CLIENT),
        udp(b"abc"),
        icmp(8, 0, 77, b"abc"),
    )
    assert matched(rule(options, header), *frames, NET="198.51.100.0/24") == expected


def test_only_echoes_and_their_like_have_an_identifier() -> None:
    frames = icmp(3, 0, 77), icmp(8, 0, 77), icmp(0, 0, 77), icmp(5, 1, 77)
    for options in ("icmp_id:77;", "icmp_seq:5;"):
        assert matched(rule(options, "icmp any any -> any any"), *frames) == [1, 2]


def test_arp_is_not_ip() -> None:
    arp = bytes(12) + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + bytes(20)
    frames = (arp, udp(b"a"))
    assert matched(rule("ip_proto:>16;", "ip any any -> any any"), *frames) == [1]
    assert matched(rule("sameip;", "ip any any -> any any"), *frames) == []


def handshake(confirmed: bool = True) -> list[bytes]:
    back = {"sport": 80, "dport": 40000, "src": SERVER, "dst": CLIENT}
    frames = [tcp(flags=SYN), tcp(flags=SYN | ACK, **back), tcp(flags=ACK), tcp(b"abc")]
    return [*frames, tcp(b"abc", **back)] if confirmed else frames


@pytest.mark.parametrize(
    ("flow", "expected"),
    [("to_server", [3]), ("to_client", [4]), ("established", [3, 4]), ("not_established", [])],
)
def test_direction_and_handshake(flow: str, expected: list[int]) -> None:
    assert matched(rule(f'flow:{flow}; content:"abc";'), *handshake()) == expected


def test_a_payload_before_the_handshake_is_not_established() -> None:
    signature = rule('flow:established; content:"abc";')
    assert matched(signature, tcp(flags=SYN), tcp(b"abc")) == []


def test_a_flow_picked_up_in_mid_stream_is_established_only_if_so_asked() -> None:
    signature = rule('flow:established,to_server; content:"abc";')
    assert matched(signature, tcp(b"abc")) == []
    asked = SignatureMatcher([signature], midstream=True)
    assert asked.match(decoded(tcp(b"abc"))).packet.tolist() == [0]
    strict = SignatureMatcher([signature])
    strict.match(decoded(tcp(b"abc"), tcp(), tcp(b"abd")))
    assert strict.counters["midstream"] == 2


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (handshake(), True),
        (handshake(confirmed=False), False),
        # A forged handshake: the server resets what it did not ask for.
        ([*handshake(confirmed=False),
          tcp(flags=RST, sport=80, dport=40000, src=SERVER, dst=CLIENT)], False),
        (handshake()[2:], False),
    ],
)  # fmt: skip
def test_only_an_answered_handshake_confirms_the_client(
    frames: list[bytes], expected: bool
) -> None:
    for block in ([frames], [[f] for f in frames]):  # at once, and packet by packet
        states = FlowStates()
        for part in block:
            flows = states.look_up(decoded(*part))
        assert states.confirmed(flows.keys[0]) is expected


def test_flow_memory_is_bounded() -> None:
    states = FlowStates(max_flows=50)
    for first in range(0, 1000, 100):
        states.look_up(decoded(*(tcp(flags=SYN, sport=1 + first + n) for n in range(100))))
    assert len(states) == 50
    assert states.evicted == 950


def test_a_string_in_many_packets_gives_each_packet_once() -> None:
    frames = [tcp(b"abc" * 400) for _ in range(20)]
    assert matched(rule('content:"abc";'), *frames) == list(range(20))


@pytest.mark.parametrize(
    ("options", "payload", "expected"),
    [
        ('content:"abcde"; depth:2;', b"abcde", []),
        ('content:"abcde"; offset:70000;', b"abcde", []),
        ('content:"abc"; offset:65534; depth:9;', b"abc", []),
        ('content:"abc"; offset:-3; depth:9;', b"xxabc", [0]),
        (f'content:"{"ab" * 3000}";', b"x" + b"ab" * 3000, [0]),
        (f'content:"{"ab" * 3000}";', b"ab" * 2999 + b"ac", []),
    ],
)
def test_contents_without_a_place_or_an_end(
    options: str, payload: bytes, expected: list[int]
) -> None:
    assert matched(rule(options), tcp(payload)) == expected


def test_only_enabled_and_whole_rules_are_used() -> None:
    partial = read_rule('alert tcp any any -> any any (msg:"a"; content:"a"; ttl:1; sid:2;)')
    disabled = read_rule('#alert tcp any any -> any any (msg:"b"; content:"a"; sid:3;)')
    unknown = read_rule('alert tcp $NOWHERE any -> any any (msg:"c"; content:"a"; sid:4;)')
    matcher = SignatureMatcher([rule('content:"a";'), partial, disabled, unknown])
    assert [s.sid for s in matcher.signatures] == [1]
    assert matcher.refused == {
        "ttl": 1,
        "disabled": 1,
        "header (unknown variable $NOWHERE)": 1,
    }


def test_a_crafted_payload_spends_the_budget_and_no_more() -> None:
    """Every "a" may be followed by another: without a budget this is 1,400 ** 4 attempts."""
    contents = "".join('content:"a"; distance:0; ' for _ in range(4))
    signature = rule('content:"a"; ' + contents + 'content:"b"; within:1;')
    begin = time.process_time()
    with pytest.raises(BudgetSpent):
        PayloadTest(signature.checks)(Payload(b"a" * 1400))
    assert time.process_time() - begin < 1
    matcher = SignatureMatcher([signature])
    assert not len(matcher.match(decoded(tcp(b"a" * 1400 + b"xb"))))
    assert matcher.counters["budget-spent"] == 1


def test_a_packet_crafted_for_many_rules_spends_its_own_budget() -> None:
    words = [f"w{n:03}" for n in range(150)]
    tail = 'content:"a"; distance:0; ' * 4 + 'content:"b"; within:1;'
    signatures = [
        rule(f'content:"{w}"; fast_pattern; {tail}', sid=n) for n, w in enumerate(words, 1)
    ]
    matcher = SignatureMatcher(signatures)
    payload = "".join(words).encode() + b"a" * 700
    begin = time.process_time()
    matcher.match(decoded(tcp(payload)))
    assert time.process_time() - begin < 1
    # 20,000 steps are enough for 40 of these rules and their 500; the others get nothing.
    assert matcher.counters["budget-spent"] == 150


def test_a_source_that_spends_its_share_takes_none_of_anothers() -> None:
    """Live: 500 payloads that ask for 500 steps of each of ten rules, and twenty of others."""
    tail = 'content:"a"; distance:0; ' * 4 + 'content:"b"; within:1;'
    rules = [rule(f'content:"w{n}"; fast_pattern; {tail}', sid=n + 1) for n in range(10)]
    dear = [tcp(b"w0w1w2w3w4w5w6w7w8w9" + b"a" * 1_400)] * 500
    others = [tcp(b"w%d aaaaab" % (n % 10), src=f"203.0.113.{n}") for n in range(1, 21)]
    matcher, patient = SignatureMatcher(rules, shared=True), SignatureMatcher(rules)
    seconds = []
    for one in (matcher, patient):
        begin = time.thread_time()
        found = one.match(decoded(*dear[:250], *others, *dear[250:]))
        seconds.append(time.thread_time() - begin)
        assert found.packet.tolist() == list(range(250, 270))
    # 20,000 steps and 15 a packet, a 21st of it for the flooder: three or four of his 5,000 tests.
    assert matcher.counters["thinned"] > 4_900
    assert patient.counters["thinned"] == 0
    assert seconds[0] < seconds[1] / 10


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("[192.0.2.1,2001:db8::/32]", "2001:db8::1", "192.0.2.2"),
        ("!192.0.2.0/24", "2001:db8::1", "192.0.2.1"),
        ("[10.0.0.0/8,![10.1.0.0/16,10.2.0.0/16]]", "10.3.0.1", "10.2.0.1"),
        ("$HOME_NET", "192.0.2.1", None),
        ("[2001:db8::1-2001:db8::5]", "2001:db8::5", "2001:db8::6"),
        ("[192.0.2.3-192.0.2.5,!192.0.2.4,fe80::/10]", "192.0.2.5", "192.0.2.4"),
        ("[fe80::/10,!fe80::2-fe80::9]", "fe80::a", "fe80::3"),
    ],
)
def test_address_sets(text: str, inside: str, outside: str | None) -> None:
    def member(address: str) -> bool:
        parsed = ip_address(address)
        number = int(parsed) + (0xFFFF << 32 if parsed.version == 4 else 0)
        return any(low <= number <= high for low, high in read_addresses(text, VARIABLES))

    assert member(inside)
    assert outside is None or not member(outside)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[1.2.3.4",
        "1.2.3",
        "$X",
        "::2-::1",
        "1.2.3.4-::9",
        "::-",
        "-",
        "[[[[[[[[[[any]]]]]]]]]]",
    ],
)
def test_sets_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_addresses(text, {})
    with pytest.raises(ValueError):
        read_ports(text, {})


PIECES = st.lists(
    st.sampled_from(
        [
            *(b"ab", b"cd", b"a", b"\r\n", b"GET ", b"/%61", b" ", b"x" * 9, b"\t", b"Cookie:"),
            *(b"User-Agent:", b"Host: ", b"Ab", b":", b"GET /ab HTTP/1.1\r\n", b"\r\n\r\n"),
        ]
    )
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES.map(b"".join) | st.binary(max_size=60), min_size=1, max_size=6))
def test_both_ways_agree_on_any_traffic(payloads: list[bytes]) -> None:
    frames = decoded(
        *(tcp(p, dport=random.Random(n).choice([80, 21])) for n, p in enumerate(payloads))
    )
    fast, plain = FAST.match(frames), PLAIN.match(frames)
    assert fast.packet.tolist() == plain.packet.tolist()
    assert fast.signature.tolist() == plain.signature.tolist()


RULES = [
    rule(options, header, sid)
    for sid, (options, header) in enumerate(
        [
            ('content:"ab"; content:"cd"; distance:0;', "tcp any any -> any any"),
            ('content:"a"; offset:1; depth:3; content:!"x";', "tcp any any -> any 80"),
            ('content:"AB"; nocase; pcre:"/b[^c]{2}/R";', "tcp any any -> any 21"),
            ('pcre:"/^(ab|cd)+$/";', "tcp any any -> any any"),
            ('uricontent:"/a";', "tcp any any -> any $HTTP_PORTS"),
            ('content:!"a"; dsize:>3;', "tcp any any -> any !80"),
            ('content:"a"; isdataat:!1,relative;', "tcp any 40000 -> any any"),
            ('http.user_agent; content:"ab"; bsize:2;', "http any any -> any any"),
            ('http.user_agent; content:"ab"; startswith;', "tcp any any -> any any"),
            ('http.header; content:"Ab: cd|0d 0a|";', "http any any -> any any"),
            ('http.header_names; content:"|0d 0a|ab|0d 0a|";', "http any any -> any any"),
            ('http.host; dotprefix; content:".ab";', "http any any -> any any"),
            ('http.uri; content:"ab"; http.request_body; content:"cd";', "http any any -> any any"),
            ('http.cookie; content:!"ab";', "http any any -> any any"),
        ],
        1,
    )
]
FAST, PLAIN = SignatureMatcher(RULES), SignatureMatcher(RULES, multi_pattern=False)

DATA = Path(os.environ.get("ONTOIDPS_DATA", "/nonexistent"))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="ONTOIDPS_DATA names no folder with the captures")
def test_real_rules_on_real_packets_agree_with_the_plain_search() -> None:
    signatures = load_signatures([DATA / "rules" / "snort2_gpl"]).signatures
    # The capture has no handshakes.
    fast = SignatureMatcher(signatures, midstream=True)
    plain = SignatureMatcher(signatures, multi_pattern=False, midstream=True)
    assert len(fast.signatures) > 2_400
    names = set()
    for raw in read_capture(DATA / "pcaps" / "web_attack" / "ndpi_WebattackRCE.pcap"):
        packets = decode(raw)
        one, other = fast.match(packets), plain.match(packets)
        assert one.packet.tolist() == other.packet.tolist()
        assert one.signature.tolist() == other.signature.tolist()
        names |= {fast.signatures[n].attack_class for n in one.signature.tolist()}
    assert {"CommandInjection", "PathTraversal", "WebAttack"} <= names
