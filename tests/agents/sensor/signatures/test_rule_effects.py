"""What matches do to each other, on packets of our own making."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agents.sensor.flows.packets import Packets
from agents.sensor.signatures import rule_effects
from agents.sensor.signatures.matcher import SignatureMatcher
from rules.signatures.parse import read_rule
from tests.agents.sensor.signatures.test_matcher import SYN, decoded, handshake, request, tcp

TCP = "tcp any any -> any any"


def told(
    rules: Sequence[str], *blocks: Sequence[bytes], seconds: Sequence[int] = ()
) -> list[tuple[int, int, int]]:
    """(block, packet, sid) of what is told."""
    signatures = [read_rule(rule) for rule in rules]
    assert all(s.executable for s in signatures), [s.unsupported for s in signatures]
    matcher = SignatureMatcher(signatures)
    out = []
    for number, block in enumerate(blocks):
        packets: Packets = decoded(*block)
        if seconds:
            packets.time_us[:] = np.full(len(packets), seconds[number] * 1_000_000)
        found = matcher.match(packets)
        out += [
            (number, packet, matcher.signatures[rule].sid)
            for packet, rule in zip(found.packet.tolist(), found.signature.tolist(), strict=True)
        ]
    return out


def rule(sid: int, options: str, action: str = "alert", header: str = TCP) -> str:
    return f'{action} {header} (msg:"x"; {options} sid:{sid};)'


def test_a_bit_of_a_connection_is_asked_for() -> None:
    rules = [
        rule(1, 'content:"two"; flowbits:isset,seen;'),
        rule(2, 'content:"one"; flowbits:set,seen; flowbits:noalert;'),
    ]
    both = [tcp(b"one"), tcp(b"two")]
    assert told(rules, both) == [(0, 1, 1)]
    assert told(rules, both[::-1]) == []
    assert told(rules, both[:1], both[1:]) == [(1, 0, 1)]
    # In one packet, whatever the order of the rules; not in another connection.
    assert told(rules, [tcp(b"two one")]) == [(0, 0, 1)]
    assert told(rules, [tcp(b"one"), tcp(b"two", sport=40001)]) == []


def test_bits_are_taken_back_and_a_new_connection_has_none() -> None:
    rules = [
        rule(1, 'content:"two"; flowbits:isset,a|b;'),
        rule(2, 'content:"one"; flowbits:set,b; noalert;'),
        rule(3, 'content:"off"; flowbits:unset,b; noalert;'),
        rule(4, 'content:"not"; flowbits:isnotset,b;'),
    ]
    assert told(rules, [tcp(b"one"), tcp(b"two"), tcp(b"off"), tcp(b"two"), tcp(b"not")]) == [
        (0, 1, 1),
        (0, 4, 4),
    ]
    assert told(rules, [tcp(b"one"), tcp(b"not")]) == []
    ends = [tcp(flags=17), tcp(flags=SYN)]
    assert told(rules, [*handshake(), tcp(b"one"), *ends, tcp(b"two")]) == []
    assert told(rules, [*handshake(), tcp(b"one")], [*ends, tcp(b"not")]) == [(1, 2, 4)]


def test_bits_of_addresses_expire() -> None:
    rules = [
        rule(1, 'content:"two"; xbits:isset,x,track ip_src;'),
        rule(2, 'content:"one"; xbits:set,x,track ip_src,expire 10; noalert;'),
    ]
    blocks = [tcp(b"one")], [tcp(b"two", sport=40009)]
    assert told(rules, *blocks, seconds=(100, 109)) == [(1, 0, 1)]
    assert told(rules, *blocks, seconds=(100, 110)) == []
    assert told(rules, blocks[0], [tcp(b"two", src="203.0.113.5")], seconds=(100, 101)) == []


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("threshold:type limit, track by_src, count 1, seconds 60;", [0, 1, 2, 3, 4]),
        ("threshold:type both, track by_src, count 3, seconds 60;", [2, 3]),
        ("threshold:type threshold, track by_dst, count 3, seconds 60;", [2, 3]),
        ("detection_filter:track by_src, count 3, seconds 60;", [3]),
        ("threshold:type both, track by_rule, count 5, seconds 600;", [4]),
    ],
)
def test_rates(option: str, expected: list[int]) -> None:
    blocks = [[tcp(b"abc", sport=40000 + n)] for n in range(5)]
    found = told([rule(1, f'content:"abc"; {option}')], *blocks, seconds=(0, 1, 2, 3, 63))
    assert [block for block, _, _ in found] == expected


def test_a_source_counts_for_itself() -> None:
    option = "threshold:type both, track by_src, count 2, seconds 60;"
    frames = [tcp(b"abc", src=f"203.0.113.{n}") for n in (1, 2, 3, 1)]
    assert told([rule(1, f'content:"abc"; {option}')], frames) == [(0, 3, 1)]


@pytest.mark.parametrize(
    ("passing", "expected"),
    [
        (rule(9, "", "pass", "http 198.51.100.7 any -> any any"), []),
        (rule(9, "", "pass", "ip 198.51.100.7 any -> any any"), []),
        (rule(9, "", "pass", "http 203.0.113.7 any -> any any"), [0, 1]),
        (rule(9, 'http.uri; content:"/first";', "pass", "http any any -> any any"), []),
        # A payload is one packet's, and so is what it silences.
        (rule(9, 'content:"/first";', "pass"), [1]),
        (rule(9, 'http.uri; content:"/second";', "pass", "http any any -> any any"), [0]),
    ],
)
def test_a_pass_rule_silences(passing: str, expected: list[int]) -> None:
    frames = [request("/first?evil", "\r\n"), request("/second?evil", "\r\n")]
    rules = [rule(1, 'http.uri; content:"evil";', header="http any any -> any any"), passing]
    assert [packet for _, packet, _ in told(rules, frames)] == expected
    assert [block for block, _, _ in told(rules, frames[:1], frames[1:])] == expected


def test_a_pass_rule_that_is_not_carried_out_is_known() -> None:
    matcher = SignatureMatcher([read_rule(rule(9, "asn1:x;", "pass"))])
    assert [(s.sid, s.silences, why) for s, why in matcher.left_out] == [(9, True, "asn1")]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_FLOWS", "MAX_ADDRESSES", "MAX_RATES"):
        monkeypatch.setattr(rule_effects, name, 10)
    options = (
        'content:"a"; flowbits:set,x; xbits:set,y,track ip_src; '
        "threshold:type both, track by_src, count 2, seconds 9;"
    )
    matcher = SignatureMatcher([read_rule(rule(1, options))])
    matcher.match(decoded(*(tcp(b"a", src=f"203.0.113.{n}") for n in range(100))))
    assert matcher.counters["forgotten"] == 270
