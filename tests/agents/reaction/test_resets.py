"""RSTs: what is sent for which packet, and that both ends of a real connection believe them."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from agents.reaction.reset_worker import reset_packets
from agents.reaction.resets import MAX_WATCHED, TcpReset
from agents.reaction.responders import ResponderOptions
from datasets.laboratory.network import run_in_sandbox, why_unavailable

SCRIPT = Path(__file__).with_name("lab_scripts") / "resets.py"


def sent(packet: Ether) -> set[tuple[str, str, int, int, int, str]]:
    """(source, target, ports, number, flags) of the answers, read back from bytes."""
    out = set()
    for answer, _ in reset_packets(Ether(bytes(packet))):
        layer = IP if IP in answer else IPv6
        again = layer(bytes(answer))
        tcp = again[TCP]
        out.add((again.src, again.dst, tcp.sport, tcp.dport, tcp.seq, str(tcp.flags)))
    return out


@pytest.mark.parametrize(
    ("ip", "a", "b"),
    [(IP, "192.0.2.66", "198.51.100.18"), (IPv6, "2001:db8::42", "2001:db8::18")],
)
def test_both_ends_get_the_number_they_expect(ip: type, a: str, b: str) -> None:
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip(src=a, dst=b)
    frame /= TCP(sport=4000, dport=22, flags="PA", seq=1000, ack=5000) / b"hello"
    assert sent(frame) == {
        (a, b, 4000, 22, 1000, "R"),  # if the firewall dropped the packet
        (a, b, 4000, 22, 1005, "R"),  # if it arrived
        (b, a, 22, 4000, 5000, "R"),
    }
    (link,) = [link for _, link in reset_packets(Ether(bytes(frame))) if link is not None]
    assert (link.src, link.dst) == ("02:00:00:00:00:02", "02:00:00:00:00:01")


def test_numbers_wrap_and_padding_is_no_payload() -> None:
    frame = Ether(dst="02:00:00:00:00:02") / IP(src="192.0.2.1", dst="192.0.2.2")
    frame /= TCP(sport=1, dport=2, flags="FA", seq=(1 << 32) - 1, ack=7)
    padded = bytes(frame) + bytes(6)
    numbers = {answer[TCP].seq for answer, _ in reset_packets(Ether(padded))}
    assert numbers == {(1 << 32) - 1, 0, 7}


@pytest.mark.parametrize("flags", ["S", "R", "RA"])
def test_what_is_no_live_connection_gets_no_answer(flags: str) -> None:
    frame = (
        Ether(dst="02:00:00:00:00:02")
        / IP(src="192.0.2.1", dst="192.0.2.2")
        / TCP(flags=flags, seq=1)
    )
    assert reset_packets(Ether(bytes(frame))) == []


def test_watched_addresses_are_bounded_and_end() -> None:
    now = [0.0]
    responder = TcpReset(ResponderOptions(), clock=lambda: now[0])
    responder._tell = lambda: None  # type: ignore[method-assign]  # no worker: root's tests have one
    for number in range(MAX_WATCHED + 5):
        responder.block(ip_address(number + 1), 10 + number)
    assert len(responder.blocked()) == MAX_WATCHED
    now[0] = 16.0
    assert min(responder.blocked().values()) > 0
    assert len(responder.blocked()) == MAX_WATCHED - 2
    assert responder.unblock(ip_address(MAX_WATCHED)) is True
    assert responder.unblock(ip_address(MAX_WATCHED)) is False


@pytest.mark.root
def test_live_connections_of_a_blocked_address_end_at_both_ends() -> None:
    if reason := why_unavailable():
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    results = json.loads(out)
    for version in ("4", "6"):
        result = results[version]
        assert result["before"] == [True, True]
        assert result["fates"] == ["reset", "reset"], err
        assert result["client"] is True
        assert result["lifted"] is True
    assert results["health"]["responder.tcp-reset.orders"] >= 3  # the last is on its way
    assert "responder.tcp-reset.errors" not in results["health"]
