"""What lies between a frame's first byte and its IP or ARP header, taken off layer by layer.

`peel` works on many packets at once, in rounds: in each, every packet that is not yet at IP loses
one layer. Plain Ethernet with IP never gets here. Nothing raises on contents, no loop follows what
a packet claims: after `MAX_LAYERS` rounds it is malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from agents.sensor.flows.layers import (
    AGGREGATE,
    ARP_TYPE,
    BAD_VERSION,
    BAD_WRAPPER,
    BSD_FAMILY,
    BY_VERSION,
    CHAIN,
    COOKED_1,
    COOKED_2,
    ENCRYPTED,
    ERSPAN_2,
    ERSPAN_3,
    ETHER_IP,
    ETHERNET,
    FIREWIRE,
    GENEVE,
    GRE,
    HDLC,
    IPSEC,
    IPV4,
    IPV6,
    LABELLED,
    LINK_LAYERS,
    LLC,
    MPLS,
    NFLOG,
    OTHER,
    PER_PACKET,
    PFLOG,
    PPP,
    PPP_DIRECTED,
    PPP_LINK,
    PPPOE,
    RADIOTAP,
    SNAP,
    TRUNCATED,
    UNREAD_ERSPAN,
    UNREAD_GENEVE,
    UNREAD_GRE,
    UNREAD_LINK,
    UNREAD_NFLOG,
    UNREAD_OUI,
    UNREAD_PPP,
    UNREAD_SAP,
    UNREAD_TYPE,
    UNREAD_VXLAN,
    VERDICT,
    VXLAN,
    WIFI,
    WIFI_PADDED,
    is_network,
)
from agents.sensor.flows.packets import Bytes, Ints
from datasets.captures.pcap import rows

MAX_LAYERS: Final = 24
"""Four VLAN tags, a tunnel's header, PPPoE and the deepest label stacks seen need fewer."""

# Protocols that carry nobody's IP traffic: link control, discovery, time, storage, field buses.
_QUIET: Final = (
    0x0842, 0x0A00, 0x2000, 0x2004, 0x6000, 0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x8035, 0x809B,
    0x80F3, 0x8137, 0x8138, 0x8204, 0x8808, 0x8809, 0x8819, 0x8863, 0x886D, 0x886F, 0x887B, 0x888E,
    0x8892, 0x88A2, 0x88A4, 0x88AB, 0x88B8, 0x88B9, 0x88BA, 0x88BF, 0x88C7, 0x88CC, 0x88CD, 0x88D9,
    0x88E1, 0x88E3, 0x88F5, 0x88F7, 0x88F8, 0x88FB, 0x8902, 0x8906, 0x890D, 0x8912, 0x8914, 0x8915,
    0x8940, 0x9000, 0x99FE,
)  # fmt: skip
_QUIET_SAPS: Final = (0x00, 0x02, 0x42, 0x4E, 0x7E, 0x8E, 0xBC, 0xE0, 0xF0, 0xF4, 0xF8, 0xFE, 0xFF)
_ETHER_OUIS: Final = (0x000000, 0x0000F8)  # RFC 1042, and bridge tunnels of old
_QUIET_OUIS: Final = (0x00000C, 0x00E02B, 0x0000A2, 0x080007, 0x00E052, 0x00A0F8)

Stepped = tuple[Ints, Ints]
"""Where each packet's next layer begins, and which it is."""


def word(head: Bytes, at: int) -> Ints:
    """The two bytes at ``at`` of each row, network order."""
    return head[:, at].astype(np.int64) << 8 | head[:, at + 1]


def peel(data: Bytes, at: Ints, end: Ints, layer: Ints) -> Stepped:
    """Where the network header of each packet begins, and its EtherType or the verdict.

    Args:
        at, layer: (n,) where each begins, and with what; both are changed.
        end: (n,) end of what was captured of it.
    """
    todo = np.flatnonzero(~is_network(layer))
    for _ in range(MAX_LAYERS):
        kinds = layer[todo]
        # A length in place of a type: IEEE 802.3.
        kinds[kinds < 0x600] = LLC
        known = np.isin(kinds, _KNOWN)
        layer[todo[~known]] = np.where(
            np.isin(kinds[~known], _QUIET), OTHER, UNREAD_TYPE | kinds[~known]
        )
        todo, kinds = todo[known], kinds[known]
        if not len(todo):
            return at, layer
        for kind in np.unique(kinds).tolist():
            some = todo[kinds == kind]
            need, step = _STEPS[kind]
            fits = at[some] + need <= end[some]
            layer[some[~fits]] = TRUNCATED
            some = some[fits]
            at[some], layer[some] = step(rows(data, at[some], need), at[some], data)
        todo = todo[~is_network(layer[todo]) & (layer[todo] < VERDICT)]
    layer[todo] = CHAIN
    return at, layer


def _ethernet(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    return at + 14, word(head, 12)


def _behind(size: int) -> Callable[[Bytes, Ints, Bytes], Stepped]:
    """A header of ``size`` bytes whose last two are the next type."""

    def step(head: Bytes, at: Ints, _: Bytes) -> Stepped:
        return at + size, word(head, size - 2)

    return step


def _fixed(size: int, layer: int) -> Callable[[Bytes, Ints, Bytes], Stepped]:
    """``size`` bytes that tell nothing, then always ``layer``."""

    def step(_: Bytes, at: Ints, __: Bytes) -> Stepped:
        return at + size, np.full(len(at), layer, np.int64)

    return step


def _llc(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    sap = head[:, 0].astype(np.int64)
    snap = (sap == 0xAA) & (head[:, 1] == 0xAA) & (head[:, 2] == 3)
    ip = (sap == 0x06) & (head[:, 1] == 0x06) & (head[:, 2] == 3)
    # 802.3 without 802.2, as old NetWare writes IPX, reads as SAP 0xff.
    layer = np.where(np.isin(sap & 0xFE, _QUIET_SAPS) | (sap == 0xFF), OTHER, UNREAD_SAP | sap)
    return at + np.where(snap, 0, 3), np.where(snap, SNAP, np.where(ip, IPV4, layer))


def _snap(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    oui = head[:, 3].astype(np.int64) << 16 | word(head, 4)
    kind = word(head, 6)
    foreign = np.where(np.isin(oui, _QUIET_OUIS), OTHER, UNREAD_OUI | oui)
    kind = np.where(kind < 0x600, UNREAD_TYPE | kind, kind)
    return at + 8, np.where(np.isin(oui, _ETHER_OUIS), kind, foreign)


def _by_version(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    version = head[:, 0] >> 4
    layer = np.where(version == 4, IPV4, np.where(version == 6, IPV6, BAD_VERSION))
    return at, layer.astype(np.int64)


def _ppp_link(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    """PPP in HDLC-like framing (RFC 1662), plain PPP, or Cisco's HDLC: the first bytes tell."""
    cisco = np.isin(head[:, 0], (0x0F, 0x8F)) & (head[:, 1] == 0)
    return at, np.where(cisco, HDLC, PPP)


def _ppp(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """RFC 1661: address and control may be there, the first byte of the protocol not."""
    framed = (head[:, 0] == 0xFF) & (head[:, 1] == 3)
    short = head[:, 0] & 1 == 1
    number = np.where(short, head[:, 0], word(head, 0))
    layer = np.where((number >= 0x8000) | (number == 0x0001), OTHER, UNREAD_PPP | number)
    for protocol, known in ((0x21, IPV4), (0x57, IPV6), (0x281, MPLS), (0x283, MPLS)):
        layer[number == protocol] = known
    return at + np.where(framed | ~short, 2, 1), np.where(framed, PPP, layer)


def _hdlc(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    ours = np.isin(head[:, 0], (0x0F, 0x8F))
    kind = word(head, 2)
    kind = np.where(kind < 0x600, UNREAD_TYPE | kind, kind)
    return at + np.where(ours, 4, 0), np.where(ours, kind, PPP)


def _pppoe(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """RFC 2516: version and type 1, a session's code 0."""
    layer = np.where(head[:, 1] == 0, PPP, OTHER)
    return at + 6, np.where(head[:, 0] == 0x11, layer, BAD_WRAPPER)


def _mpls(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    """RFC 3032. What is below the last label has no number: IP by its version, else Ethernet,
    with a control word (RFC 4448) or without."""
    last = head[:, 2] & 1 == 1
    below = data[at + 4]
    version = below >> 4
    ip = np.where((version == 4) & (below & 15 >= 5), IPV4, np.where(version == 6, IPV6, 0))
    layer = ip.astype(np.int64)
    wired = np.flatnonzero(last & (layer == 0))
    step = np.full(len(at), 4, np.int64)
    if len(wired):
        begin = at[wired] + 4
        plain, behind = (
            np.isin(word(rows(data, begin + 12 + size, 2), 0), _CARRIED) for size in (0, 4)
        )
        behind &= version[wired] == 0
        layer[wired] = np.where(plain | behind, ETHERNET, LABELLED)
        step[wired[behind]] = 8
    return at + step, np.where(last, layer, MPLS)


def _wifi(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    return _wifi_frame(head, at, data, 1)


def _wifi_padded(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    return _wifi_frame(head, at, data, 4)


def _wifi_frame(head: Bytes, at: Ints, data: Bytes, unit: int) -> Stepped:
    """IEEE 802.11 section 9.2: data frames have LLC behind a header of 24 to 36 bytes."""
    kind, flags = head[:, 0], head[:, 1]
    between_stations = flags & 3 == 3  # four addresses
    quality = kind & 0x80 > 0
    size = 24 + 6 * between_stations.astype(np.int64)
    aggregate = quality & (data[at + size] & 0x80 > 0)
    size += 2 * quality + 4 * (quality & (flags & 0x80 > 0))
    size += -size % unit
    layer = np.where(aggregate, AGGREGATE, LLC)
    layer = np.where(flags & 0x40 > 0, ENCRYPTED, layer)
    body = (kind & 0x0C == 8) & (kind & 0x40 == 0)
    layer = np.where(kind & 3 > 0, BAD_WRAPPER, np.where(body, layer, OTHER))
    return at + size, layer


def _radiotap(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    """radiotap.org: length, then words that say which fields follow; of these the flags."""
    size = head[:, 2].astype(np.int64) | head[:, 3].astype(np.int64) << 8
    field = np.full(len(at), 8, np.int64)
    more = head[:, 7] & 0x80 > 0
    for _ in range(8):
        if not more.any():
            break
        more &= field + 4 <= size
        field[more] += 4
        more[more] = data[at[more] + field[more] - 1] & 0x80 > 0
    # The time is aligned to eight bytes.
    timed = head[:, 4] & 1 == 1
    field = np.where(timed, (field + 15) & -8, field)
    flagged = (head[:, 4] & 2 > 0) & (field < size)
    flags = np.where(flagged, data[np.where(flagged, at + field, at)], 0)
    layer = np.where(flags & 0x20 > 0, WIFI_PADDED, WIFI)
    return at + size, np.where(size < 8, BAD_WRAPPER, layer)


def _per_packet(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """PPI: a header that says its length and the link type behind it."""
    size = head[:, 2].astype(np.int64) | head[:, 3].astype(np.int64) << 8
    inner = head[:, 4].astype(np.int64)
    layer = UNREAD_LINK | inner
    for number, known in LINK_LAYERS.items():
        if known != PER_PACKET:
            layer[inner == number] = known
    return at + size, np.where(size < 8, BAD_WRAPPER, layer)


def _nflog(head: Bytes, at: Ints, data: Bytes) -> Stepped:
    """Netfilter's log as a file: fields with length and type, in the byte order of their writer."""
    family = head[:, 0].astype(np.int64)
    where, layer = at + 4, np.full(len(at), BAD_WRAPPER, np.int64)
    layer = np.where(np.isin(family, (2, 10)), layer, UNREAD_NFLOG | family)
    # The payload's field is number 9 of some twenty, so the greater byte of a type is 0.
    swapped = (head[:, 6] == 0) & (head[:, 7] > 0)
    todo = np.flatnonzero(layer == BAD_WRAPPER)
    for _ in range(32):
        todo = todo[where[todo] + 4 <= len(data)]
        if not len(todo):
            break
        field = rows(data, where[todo], 4)
        field = np.where(swapped[todo, None], field, field[:, [1, 0, 3, 2]])
        length, kind = word(field, 0), word(field, 2) & 0x7FFF
        found = kind == 9
        where[todo[found]] += 4
        layer[todo[found]] = BY_VERSION
        going = ~found & (length >= 4)
        todo, length = todo[going], length[going]
        where[todo] += (length + 3) & ~3
    return where, layer


def _pflog(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    return at + (head[:, 0].astype(np.int64) + 3 & ~3), np.full(len(at), BY_VERSION, np.int64)


def _gre(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """RFC 2784, RFC 2890, PPTP's (RFC 2637), and ERSPAN in it, which without a sequence number has
    no header of its own (type I)."""
    flags, kind = word(head, 0), word(head, 2)
    version = flags & 7
    key, numbered = flags & 0x2000 > 0, flags & 0x1000 > 0
    size = 4 + 4 * ((flags & 0x8000 > 0).astype(np.int64) + key + numbered)
    size += 4 * ((version == 1) & (flags & 0x80 > 0))
    unknown = UNREAD_GRE | kind
    layer = np.where(kind < 0x600, np.where(kind == 0, OTHER, unknown), kind)
    layer = np.where(kind == 0x6558, ETHERNET, layer)
    layer = np.where(kind == 0x88BE, np.where(numbered, ERSPAN_2, ETHERNET), layer)
    layer = np.where(kind == 0x22EB, ERSPAN_3, layer)
    layer = np.where(version == 1, np.where(kind == 0x880B, PPP, unknown), layer)
    return at + size, np.where((version > 1) | (flags & 0x4000 > 0), unknown, layer)


def _erspan_2(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    version = head[:, 0].astype(np.int64) >> 4
    return at + 8, np.where(version == 1, ETHERNET, UNREAD_ERSPAN | version)


def _erspan_3(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """draft-foschiano-erspan section 4.3: 12 bytes, 8 more if the last bit says so."""
    version = head[:, 0].astype(np.int64) >> 4
    frame = np.where((head[:, 10] >> 2) & 0x1F == 2, BY_VERSION, ETHERNET)
    return at + 12 + 8 * (head[:, 11] & 1), np.where(version == 2, frame, UNREAD_ERSPAN | version)


def _vxlan(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """RFC 7348, with its group policy and protocol extensions (draft-smith-vxlan-group-policy,
    draft-ietf-nvo3-vxlan-gpe), which scapy writes by default; the rest is some other UDP."""
    flags, next_ = head[:, 0], head[:, 3].astype(np.int64)
    named = flags & 0x04 > 0
    layer = np.where(named, UNREAD_VXLAN | next_, ETHERNET)
    for number, known in ((1, IPV4), (2, IPV6), (3, ETHERNET)):
        layer[named & (next_ == number)] = known
    policy = flags & 0x80 > 0
    valid = (flags & 0x38 == 0x08) & (head[:, 7] == 0)
    valid &= policy | named | ~head[:, 1:4].any(axis=1)
    return at + 8, np.where(valid, layer, OTHER)


def _geneve(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    """RFC 8926."""
    kind = word(head, 2)
    layer = np.where(kind < 0x600, UNREAD_GENEVE | kind, np.where(kind == 0x6558, ETHERNET, kind))
    valid = (head[:, 0] >> 6 == 0) & (head[:, 1] & 0x3F == 0) & (head[:, 7] == 0)
    return at + 8 + 4 * (head[:, 0] & 0x3F).astype(np.int64), np.where(valid, layer, OTHER)


def _ether_ip(head: Bytes, at: Ints, _: Bytes) -> Stepped:
    return at + 2, np.where(head[:, 0] >> 4 == 3, ETHERNET, OTHER)


_STEPS: Final[dict[int, tuple[int, Callable[[Bytes, Ints, Bytes], Stepped]]]] = {
    ETHERNET: (14, _ethernet),
    0x6558: (14, _ethernet),
    **dict.fromkeys((0x8100, 0x88A8, 0x9100, 0x9200, 0x9300), (4, _behind(4))),
    0x8926: (6, _behind(6)),  # VN-Tag
    0xF1C1: (6, _behind(6)),  # R-TAG, IEEE 802.1CB
    0x892F: (6, _behind(6)),  # HSR, IEC 62439-3
    0x88E7: (4, _fixed(4, ETHERNET)),  # provider backbone bridges, IEEE 802.1ah
    PPPOE: (6, _pppoe),
    MPLS: (4, _mpls),
    0x8848: (4, _mpls),
    0x880B: (2, _ppp),
    LLC: (3, _llc),
    SNAP: (8, _snap),
    PPP: (2, _ppp),
    PPP_LINK: (2, _ppp_link),
    PPP_DIRECTED: (4, _fixed(2, PPP)),  # a byte for the direction in place of the address
    HDLC: (4, _hdlc),
    WIFI: (24, _wifi),
    WIFI_PADDED: (24, _wifi_padded),
    RADIOTAP: (8, _radiotap),
    PER_PACKET: (8, _per_packet),
    NFLOG: (8, _nflog),
    PFLOG: (4, _pflog),
    # The four bytes are an address family in the writer's byte order, and the number for IPv6
    # differs between systems: the IP version says the same.
    BSD_FAMILY: (5, _fixed(4, BY_VERSION)),
    IPSEC: (12, _fixed(12, BY_VERSION)),
    BY_VERSION: (1, _by_version),
    COOKED_1: (16, _behind(16)),
    COOKED_2: (20, lambda head, at, _: (at + 20, word(head, 0))),
    FIREWIRE: (18, _behind(18)),
    GRE: (4, _gre),
    ERSPAN_2: (8, _erspan_2),
    ERSPAN_3: (12, _erspan_3),
    VXLAN: (8, _vxlan),
    GENEVE: (8, _geneve),
    ETHER_IP: (2, _ether_ip),
}
_KNOWN: Final = np.array([IPV4, IPV6, ARP_TYPE, *_STEPS], np.int64)
_CARRIED: Final = (IPV4, IPV6, ARP_TYPE, 0x8100, 0x88A8, MPLS, PPPOE)
