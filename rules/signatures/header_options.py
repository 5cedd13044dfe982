"""What a rule asks of a packet's headers besides addresses and ports."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from rules.signatures.payload_options import OptionError, read_number, read_range

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
    ip_protocol: tuple[tuple[int, int], ...] = ()
    """Ranges of IANA numbers, all of which must agree."""
    http: bool = False
    """The payload begins an HTTP request or response (Suricata's protocol ``http``)."""


def printable(raw: str) -> str:
    """Latin-1 back to the UTF-8 that it mostly was; control characters become spaces."""
    text = raw.encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)


def _flow(test: HeaderTest, value: str) -> HeaderTest:
    for word in (w.strip().lower() for w in value.split(",")):
        if word in ("stateless", "only_stream", "no_stream", ""):
            # Packet or reassembled stream: payloads are matched packet by packet here.
            continue
        if word not in _FLOW_WORDS:
            raise OptionError(f"flow ({printable(word)[:20]})")
        field, wanted = _FLOW_WORDS[word]
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


_IP_NAMES = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "pim": 103}


def _ip_protocol(test: HeaderTest, value: str) -> HeaderTest:
    match = re.fullmatch(r"([!<>]?)\s*(\w+)", value.strip())
    if match is None:
        raise OptionError("ip_proto (unreadable)")
    number = _IP_NAMES.get(match[2].lower(), -1)
    if number < 0:
        number = read_number(match[2], "ip_proto")
    ranges = {
        "": ((number, number),),
        "<": ((0, number - 1),),
        ">": ((number + 1, 255),),
        "!": ((0, number - 1), (number + 1, 255)),
    }[match[1]]
    if match[1] == "!":
        # All ranges must agree, and these two are alternatives.
        raise OptionError("ip_proto (!)")
    return replace(test, ip_protocol=test.ip_protocol + ranges)


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
