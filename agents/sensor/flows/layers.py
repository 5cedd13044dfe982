"""Numbers for what a packet is wrapped in, and names for what of it can't be read.

A *layer* is a number: an EtherType (IEEE 802), or one of those below for what has none. Beyond them
are verdicts: other (a protocol that carries nobody's IP traffic), unread (may carry some, which
can't be read), malformed.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import Ints

IPV4, IPV6, ARP_TYPE = 0x0800, 0x86DD, 0x0806

# Layers without an EtherType.
(
    ETHERNET, LLC, PPP, PPP_LINK, PPP_DIRECTED, HDLC, WIFI, WIFI_PADDED, RADIOTAP, PER_PACKET,
    NFLOG, PFLOG, BSD_FAMILY, IPSEC, BY_VERSION, COOKED_1, COOKED_2, FIREWIRE, GRE, ERSPAN_2,
    ERSPAN_3, VXLAN, GENEVE, ETHER_IP, SNAP,
) = range(0x10000, 0x10000 + 25)  # fmt: skip
PPPOE, MPLS = 0x8864, 0x8847

VERDICT: Final = 1 << 40
OTHER: Final = VERDICT
UNREAD: Final = 2 << 40
_BAD: Final = 4 << 40
MALFORMED: Final = ("truncated-link", "bad-ip-version", "bad-wrapper", "wrapper-chain")
"""Kinds; a malformed packet's verdict is the position in these."""
TRUNCATED, BAD_VERSION, BAD_WRAPPER, CHAIN = (_BAD + n for n in range(4))

_FAMILIES: Final = (
    "EtherType-0x{:04x}", "LLC-0x{:02x}", "SNAP-0x{:06x}", "PPP-0x{:04x}", "NFLOG-family-{}",
    "GRE-0x{:04x}", "Geneve-0x{:04x}", "VXLAN-{}", "802.11-encrypted", "802.11-aggregate",
    "MPLS-payload", "ERSPAN-version-{}", "link-type-{}",
)  # fmt: skip
(
    UNREAD_TYPE, UNREAD_SAP, UNREAD_OUI, UNREAD_PPP, UNREAD_NFLOG, UNREAD_GRE, UNREAD_GENEVE,
    UNREAD_VXLAN, ENCRYPTED, AGGREGATE, LABELLED, UNREAD_ERSPAN, UNREAD_LINK,
) = (UNREAD | n << 32 for n in range(13))  # fmt: skip
MAX_NAMES: Final = 16
"""Names told of one block; senders choose the numbers in them."""

LINK_LAYERS: Final = {
    1: ETHERNET, 0: BSD_FAMILY, 108: BSD_FAMILY, 101: BY_VERSION, 12: BY_VERSION, 14: BY_VERSION,
    228: BY_VERSION, 229: BY_VERSION, 113: COOKED_1, 276: COOKED_2, 9: PPP_LINK, 50: PPP_LINK,
    51: PPPOE, 104: HDLC, 105: WIFI, 127: RADIOTAP, 192: PER_PACKET, 166: PPP_DIRECTED,
    204: PPP_DIRECTED, 100: LLC, 138: FIREWIRE, 219: MPLS, 239: NFLOG, 117: PFLOG, 109: IPSEC,
}  # fmt: skip
"""What a packet begins with, by LINKTYPE_ number (tcpdump.org/linktypes.html)."""
LINK_NAMES: Final = {
    3: "AX25", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 10: "FDDI", 107: "FRELAY", 119: "PRISM",
    129: "ARCNET_LINUX", 143: "DOCSIS", 163: "AVS", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX",
    190: "CAN20B", 195: "IEEE802_15_4", 197: "ERF", 201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    220: "USB_LINUX_MMAPPED", 227: "CAN_SOCKETCAN", 230: "IEEE802_15_4_NOFCS", 240: "NETANALYZER",
    249: "USBPCAP", 253: "NETLINK", 272: "NORDIC_BLE", 283: "IEEE802_15_4_TAP",
}  # fmt: skip

TUNNEL_LAYERS: Final = np.zeros(256, np.int64)
"""What a packet of an IP protocol carries, 0: no other packet."""
TUNNEL_LAYERS[[4, 41, 47, 97, 137]] = IPV4, IPV6, GRE, ETHER_IP, MPLS
TUNNEL_PORTS: Final = np.zeros(1 << 16, np.int64)
"""What a datagram to a UDP port may carry; 8472 is where Linux sent VXLAN before it had a port."""
TUNNEL_PORTS[[4789, 8472, 4790, 6081, 6635]] = VXLAN, VXLAN, VXLAN, GENEVE, MPLS


def is_network(layer: Ints) -> NDArray[np.bool_]:
    """Whether a layer is IP or ARP."""
    out: NDArray[np.bool_] = (layer == IPV4) | (layer == IPV6) | (layer == ARP_TYPE)
    return out


def unread_link(link_type: int) -> int:
    """The verdict of packets of a link type that is in no table."""
    return UNREAD_LINK | link_type & 0xFFFF


def name_unread(layer: Ints) -> Counter[str]:
    """What could not be read among verdicts, by name. At most `MAX_NAMES`, then ``others``."""
    out: Counter[str] = Counter()
    codes, counts = np.unique(layer[(layer & UNREAD) > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    for place in order[:MAX_NAMES].tolist():
        code = int(codes[place])
        family, number = code >> 32 & 0xFF, code & 0xFFFFFFFF
        name = _FAMILIES[family].format(number)
        if code - number == UNREAD_LINK:
            name = f"link-type-{LINK_NAMES.get(number, number)}"
        out[name] += int(counts[place])
    if len(codes) > MAX_NAMES:
        out["others"] += int(counts[order[MAX_NAMES:]].sum())
    return out


def malformed_kinds(layer: Ints) -> list[tuple[str, Ints]]:
    """(kind, positions) of the malformed among verdicts."""
    found = [(kind, np.flatnonzero(layer == _BAD + n)) for n, kind in enumerate(MALFORMED)]
    return [(kind, which) for kind, which in found if len(which)]
