"""A packet that something was concluded from, and the conversation around it: a small pcap.

Frames are strangers' bytes: they are copied, cut and counted, never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from datasets.captures.pcap import pack_capture
from ontology.packet_evidence import MAX_CAPTURE
from ontology.records import Address, Alert

MAX_PACKETS = 64
"""Of one conversation."""
MAX_FRAME = 16_384
"""Bytes of one frame; a ring can hold frames of 64 KiB, put together by the card."""
_FIRST = 4
"""Packets at the begin of a conversation that are kept before others: they open it."""
_RECORD = 16
"""Bytes of a packet's header in a pcap file."""
_FILE = 24


@dataclass(frozen=True, slots=True)
class Ends:
    """A conversation by its two ends; one without ports has 0 twice."""

    protocol: int
    one: bytes
    """The one whose doing it is, as far as is known: 16 bytes, IPv4 as ::ffff:a.b.c.d."""
    one_port: int
    other: bytes
    other_port: int

    def turned(self) -> Ends:
        """The same, seen from the other end."""
        return Ends(self.protocol, self.other, self.other_port, self.one, self.one_port)

    @property
    def addresses(self) -> tuple[Address, Address]:
        return address_of(self.one), address_of(self.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One packet as it was captured, or the first `MAX_FRAME` bytes of it."""

    data: bytes
    time_us: int
    wire_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """What one alert can cite."""

    ends: Ends
    signature: str
    """Individual that matched; empty: what the payload says was counted, a refused login or so."""
    proven: bool
    """It lies in a conversation that both ends took part in."""
    cited: Frame
    link_type: int
    packets: int
    """In ``capture``."""
    number: int
    """Which of them is cited, from 1."""
    omitted: int
    capture: bytes
    """A pcap file of at most `MAX_CAPTURE` bytes."""


def cite(
    ends: Ends,
    cited: Frame,
    conversation: Sequence[Frame],
    *,
    link_type: int,
    signature: str = "",
    proven: bool = False,
) -> Citation:
    """Cut a conversation to what is kept: the cited packet, the first ones, then those nearest it.

    ``conversation``: in order of capture, with the cited packet or without it.
    """
    frames = list(conversation)
    at = next((n for n, frame in enumerate(frames) if frame == cited), None)
    if at is None:
        at = sum(frame.time_us <= cited.time_us for frame in frames)
        frames.insert(at, cited)
    order = [at, *range(min(_FIRST, at)), *sorted(range(len(frames)), key=lambda n: abs(n - at))]
    room = MAX_CAPTURE - _FILE
    kept: dict[int, None] = {}
    for number in order:
        size = _RECORD + len(frames[number].data)
        if number in kept or len(kept) == MAX_PACKETS or size > room:
            continue
        kept[number] = None
        room -= size
    chosen = sorted(kept)
    return Citation(
        ends=ends,
        signature=signature,
        proven=proven,
        cited=cited,
        link_type=link_type,
        packets=len(chosen),
        number=chosen.index(at) + 1,
        omitted=len(frames) - len(chosen),
        capture=pack_capture(
            [frames[n].data for n in chosen],
            [frames[n].time_us for n in chosen],
            link_type,
            [frames[n].wire_length for n in chosen],
        ),
    )


def to_frame(citation: Citation) -> tuple[dict[str, Any], bytes]:
    """Head and body of a frame (`ontology.frames`): for a pipe between our own processes."""
    ends, cited = citation.ends, citation.cited
    head = {
        "ends": [ends.protocol, ends.one.hex(), ends.one_port, ends.other.hex(), ends.other_port],
        "signature": citation.signature,
        "proven": citation.proven,
        "cited": [cited.time_us, cited.wire_length, len(cited.data)],
        "link_type": citation.link_type,
        "counts": [citation.packets, citation.number, citation.omitted],
    }
    return head, cited.data + citation.capture


def from_frame(head: dict[str, Any], body: bytes) -> Citation:
    """What `to_frame` made."""
    protocol, one, one_port, other, other_port = head["ends"]
    time_us, wire_length, size = head["cited"]
    packets, number, omitted = head["counts"]
    return Citation(
        ends=Ends(protocol, bytes.fromhex(one), one_port, bytes.fromhex(other), other_port),
        signature=head["signature"],
        proven=head["proven"],
        cited=Frame(data=body[:size], time_us=time_us, wire_length=wire_length),
        link_type=head["link_type"],
        packets=packets,
        number=number,
        omitted=omitted,
        capture=body[size:],
    )


def is_about(ends: Ends, alert: Alert) -> bool:
    """Whether a conversation can be one that an alert speaks of: either end may have begun it."""
    one, other = ends.addresses
    return ends.protocol == alert.protocol and (
        _is(alert, one, other, ends.other_port) or _is(alert, other, one, ends.one_port)
    )


def _is(alert: Alert, source: Address, target: Address, port: int) -> bool:
    sources = alert.sources if alert.source is None else (alert.source,)
    targets = alert.targets if alert.target is None else (alert.target,)
    return (
        (not sources or source in sources)
        and (not targets or target in targets)
        and (alert.target_port is None or alert.target_port == port)
    )


def address_of(raw: bytes) -> Address:
    """16 network-order bytes to an address; IPv4-mapped becomes IPv4."""
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
