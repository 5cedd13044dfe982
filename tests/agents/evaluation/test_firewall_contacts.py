from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

from agents.evaluation.firewall_contacts import read_firewall
from datasets.contacts.contact_log import ContactReader

IPTABLES = (
    "Feb 25 12:11:24 bridge kernel: INBOUND TCP: IN=br0 PHYSIN=eth0 OUT=br0 SRC=198.51.100.38 "
    "DST=192.0.2.83 LEN=64 TTL=47 ID=17159 DF PROTO=TCP SPT=1629 DPT=139 SYN URGP=0"
)
NFTABLES = (
    "2026-02-25T12:11:30+00:00 gw kernel: drop IN=eth0 OUT= SRC=2001:db8::9 DST=2001:db8:1::1 "
    "LEN=64 HOPLIMIT=57 PROTO=UDP SPT=4000 DPT=53 LEN=20"
)
NOW_US = 1_113_000_000_000_000
"""April 2005."""


def read(*lines: str, own: tuple[str, ...] = ()) -> tuple[ContactReader, list[int]]:
    reader = ContactReader()
    networks = [ip_network(network) for network in own]
    blocks = [[line.encode()] for line in lines]
    read_firewall(blocks, reader, name="x.log", now_us=NOW_US, own=networks)
    log = reader.finish()
    return reader, [(int(at) // 1_000_000) for at in log.time_us]


def test_lines_of_iptables_and_nftables() -> None:
    reader, times = read(
        IPTABLES, NFTABLES, IPTABLES.replace("TCP SPT=1629 DPT=139", "ICMP TYPE=8")
    )
    log = reader.finish()
    assert times == [1109333484, 1109333484, 1772021490]
    assert log.sources == ("198.51.100.38", "2001:db8::9")
    assert log.gateways == ("192.0.2.83", "2001:db8:1::1")
    assert log.port.tolist() == [139, -1, 53]
    assert log.protocol.tolist() == [6, 1, 17]


def test_bad_lines_are_counted_by_reason() -> None:
    reader, times = read(
        IPTABLES,
        IPTABLES.replace("Feb", "Fob"),
        IPTABLES.replace("SRC=198", "SRC=998"),
        IPTABLES.replace("DPT=139", "DPT=99999"),
        "Feb 25 12:11:24 bridge kernel: br0: port 2(eth0) entering forwarding state",
    )
    assert len(times) == 1
    assert reader.refused == Counter(time=1, address=1, port=1) or sum(reader.refused.values()) == 3
    assert reader.first_refused == "x.log:2: time"
    assert reader.left_out == Counter({"no packet": 1})


def test_what_gateways_send_is_no_contact() -> None:
    out = IPTABLES.replace("SRC=198.51.100.38 DST=192.0.2.83", "SRC=192.0.2.83 DST=198.51.100.1")
    past = IPTABLES.replace("DST=192.0.2.83", "DST=203.0.113.1")
    reader, times = read(IPTABLES, out, past, own=("192.0.2.0/24",))
    assert len(times) == 1
    assert reader.left_out == Counter({"sent by a gateway": 1, "sent elsewhere": 1})
    assert len(read(IPTABLES, out, past)[1]) == 3
