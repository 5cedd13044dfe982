"""What a rule asks of a packet's headers besides addresses and ports."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from rules.signatures.option_errors import OptionError, printable
from rules.signatures.payload_options import read_number, read_range

_FLAG_BITS = dict(zip("FSRPAUEC21", (1, 2, 4, 8, 16, 32, 64, 128, 64, 128), strict=True))
_FLOW_WORDS = {
    "to_server": ("to_server", True),
    "from_client": ("to_server", True),
    "to_client": ("to_server", False),
    "from_server": ("to_server", False),
    "established": ("established", True),
    "not_established": ("established", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderTest:
    """What a rule asks of a packet's headers besides addresses and ports; None: nothing."""

    to_server: bool | None = None
    established: bool | None = None
    flags: tuple[str, int, int] | None = None
    """(``=``, ``+`` all of them, ``*`` any of them or ``!`` none of them; bits; bits ignored)."""
    payload_bytes: tuple[int, int] | None = None
    icmp_type: tuple[int, int] | None = None
    icmp_code: tuple[int, int] | None = None
    icmp_id: int | None = None
    icmp_sequence: int | None = None
    same_address: bool = False
    ip_protocol: frozenset[int] | None = None
    """IANA numbers, one of which it must be."""
    application: str = ""
    """Suricata's protocol ``http``, ``tls`` …: what the conversation speaks."""

    @property
    def numbered(self) -> bool:
        """Asks for an ICMP message's identifier or sequence number."""
        return self.icmp_id is not None or self.icmp_sequence is not None


def _flow(test: HeaderTest, value: str) -> HeaderTest:
    for word in (w.strip().lower() for w in value.split(",")):
        if word in ("stateless", "only_stream", "no_stream", ""):
            # Packet or reassembled stream: payloads are matched packet by packet here.
            continue
        if word not in _FLOW_WORDS:
            raise OptionError(f"flow ({printable(word)[:20]})")
        field, wanted = _FLOW_WORDS[word]
        before = test.to_server if field == "to_server" else test.established
        if before is not None and before != wanted:
            raise OptionError("flow (contradicts itself)")
        if field == "to_server":
            test = replace(test, to_server=wanted)
        else:
            test = replace(test, established=wanted)
    return test


def _flags(test: HeaderTest, value: str) -> HeaderTest:
    match = re.fullmatch(r"([!*+]?)([FSRPAUEC120]+)([!*+]?)(?:,([FSRPAUEC12]*))?", value.strip())
    if match is None:
        raise OptionError("flags (unreadable)")
    bits = sum({_FLAG_BITS[c] for c in match[2] if c != "0"})
    ignored = sum({_FLAG_BITS[c] for c in match[4] or ""})
    return replace(test, flags=(match[1] or match[3] or "=", bits, ignored))


_IP_NAMES = {
    **{"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50},
    **{"ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "pim": 103, "sctp": 132},
}


def _ip_protocol(test: HeaderTest, value: str) -> HeaderTest:
    match = re.fullmatch(r"([!<>]?)\s*(\w+)", value.strip())
    if match is None:
        raise OptionError("ip_proto (unreadable)")
    number = _IP_NAMES.get(match[2].lower(), -1)
    if number < 0:
        number = read_number(match[2], "ip_proto")
    if not 0 <= number <= 255:
        raise OptionError("ip_proto (out of range)")
    numbers = {
        "": frozenset([number]),
        "<": frozenset(range(number)),
        ">": frozenset(range(number + 1, 256)),
        "!": frozenset(range(256)) - {number},
    }[match[1]]
    return replace(test, ip_protocol=numbers & (test.ip_protocol or frozenset(range(256))))


HEADER_READERS: dict[str, Callable[[HeaderTest, str], HeaderTest]] = {
    "flow": _flow,
    "flags": _flags,
    "ip_proto": _ip_protocol,
    "dsize": lambda t, v: replace(t, payload_bytes=read_range(v, "dsize", 65_535)),
    "itype": lambda t, v: replace(t, icmp_type=read_range(v, "itype", 255)),
    "icode": lambda t, v: replace(t, icmp_code=read_range(v, "icode", 255)),
    "icmp_id": lambda t, v: replace(t, icmp_id=read_number(v, "icmp_id")),
    "icmp_seq": lambda t, v: replace(t, icmp_sequence=read_number(v, "icmp_seq")),
    "sameip": lambda t, v: replace(t, same_address=True),
}
"""Options that test headers, and who reads them."""
