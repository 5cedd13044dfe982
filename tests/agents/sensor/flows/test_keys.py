"""Keys of connections: equal for both directions, different for everything else."""

import numpy as np
import pytest

from agents.sensor.flows.keys import canonical
from agents.sensor.flows.packets import ARP, ICMP, ICMPV6, TCP, UDP, Packets
from tests.factories import packed

Row = tuple[str, str, int, int, int]
"""Source, destination, their ports, protocol."""


def packets(*rows: Row) -> Packets:
    n = len(rows)
    zeros, no = np.zeros(n, np.int64), np.zeros(n, bool)
    source, target, source_port, target_port, protocol = zip(*rows, strict=True)
    return Packets(
        time_us=zeros, src=np.array([packed(a) for a in source]),
        dst=np.array([packed(a) for a in target]),
        src_port=np.array(source_port, np.uint16), dst_port=np.array(target_port, np.uint16),
        protocol=np.array(protocol, np.uint8),
        ip_version=np.array([6 if ":" in a else 4 for a in source], np.uint8),
        flags=np.zeros(n, np.uint8), payload_bytes=zeros, payload_offset=zeros,
        payload_length=zeros, fragment=no, wrong_fragment=no, urgent=no,
        index=np.arange(n), data=np.zeros(1, np.uint8), total=n, other=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (("192.0.2.1", "192.0.2.2", 4000, 80, TCP), ("192.0.2.2", "192.0.2.1", 80, 4000, TCP)),
        (("192.0.2.9", "192.0.2.9", 1, 2, UDP), ("192.0.2.9", "192.0.2.9", 2, 1, UDP)),
        (
            ("2001:db8::1", "2001:db8:1::", 5, 6, TCP),
            ("2001:db8:1::", "2001:db8::1", 6, 5, TCP),
        ),
        # Request and reply: echo, time stamp, and neighbours of IPv6.
        (("192.0.2.1", "192.0.2.2", 8, 0, ICMP), ("192.0.2.2", "192.0.2.1", 0, 0, ICMP)),
        (("192.0.2.1", "192.0.2.2", 13, 0, ICMP), ("192.0.2.2", "192.0.2.1", 14, 0, ICMP)),
        (
            ("2001:db8::1", "2001:db8::2", 135, 0, ICMPV6),
            ("2001:db8::2", "2001:db8::1", 136, 0, ICMPV6),
        ),
        (("192.0.2.1", "192.0.2.2", 1, 0, ARP), ("192.0.2.2", "192.0.2.1", 2, 0, ARP)),
    ],
)
def test_both_directions_have_one_key(there: Row, back: Row) -> None:
    keys, greater = canonical(packets(there, back))
    assert keys[:, 0].tolist() == keys[:, 1].tolist()
    assert there[:2] == back[:2] or greater[0] != greater[1]


def test_a_single_packet_of_another_version_changes_no_other_key() -> None:
    """Blocks of IPv4 alone go a faster way, to the same result."""
    row: Row = ("192.0.2.1", "192.0.2.2", 4000, 80, TCP)
    alone, _ = canonical(packets(row))
    mixed, _ = canonical(packets(row, ("2001:db8::1", "2001:db8::2", 4000, 80, TCP)))
    assert alone[:, 0].tolist() == mixed[:, 0].tolist()


def test_whatever_differs_makes_another_key() -> None:
    rows: list[Row] = [
        ("192.0.2.1", "192.0.2.2", 4000, 80, TCP),
        ("192.0.2.1", "192.0.2.2", 4000, 80, UDP),
        ("192.0.2.1", "192.0.2.2", 4000, 81, TCP),
        ("192.0.2.1", "192.0.2.3", 4000, 80, TCP),
        ("192.0.2.1", "192.0.2.2", 8, 0, ICMP),
        ("192.0.2.1", "192.0.2.2", 13, 0, ICMP),
        ("192.0.2.1", "192.0.2.2", 3, 1, ICMP),
        ("192.0.2.1", "192.0.2.2", 3, 3, ICMP),
    ]
    keys, _ = canonical(packets(*rows))
    assert len({tuple(key) for key in keys.T.tolist()}) == len(rows)
