"""Names of services in KDD Cup 99, and which connection has which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58

TCP_PORTS: dict[str, tuple[int, ...]] = {
    "IRC": (194, 6667),
    "X11": tuple(range(6000, 6064)),
    "Z39_50": (210,),
    "aol": (5190,),
    "auth": (113,),
    "bgp": (179,),
    "courier": (530,),
    "csnet_ns": (105,),
    "ctf": (84,),
    "daytime": (13,),
    "discard": (9,),
    "domain": (53,),
    "echo": (7,),
    "efs": (520,),
    "exec": (512,),
    "finger": (79,),
    "ftp": (21,),
    "ftp_data": (20,),
    "gopher": (70,),
    "hostnames": (101,),
    "http": (80,),
    "http_2784": (2784,),
    "http_443": (443,),
    "http_8001": (8001,),
    "imap4": (143,),
    "iso_tsap": (102,),
    "klogin": (543,),
    "kshell": (544,),
    "ldap": (389,),
    "link": (87, 245),
    "login": (513,),
    "mtp": (57,),
    "name": (42,),
    "netbios_dgm": (138,),
    "netbios_ns": (137,),
    "netbios_ssn": (139,),
    "netstat": (15,),
    "nnsp": (433,),
    "nntp": (119,),
    "pop_2": (109,),
    "pop_3": (110,),
    "printer": (515,),
    "remote_job": (71, 72, 73, 74),
    "rje": (5, 77),
    "shell": (514,),
    "smtp": (25,),
    "sql_net": (66, 150),
    "ssh": (22,),
    "sunrpc": (111,),
    "supdup": (95,),
    "systat": (11,),
    "telnet": (23,),
    "time": (37,),
    "uucp": (540,),
    "uucp_path": (117,),
    "vmnet": (175,),
    "whois": (43,),
}
"""Destination ports (IANA's names of 1999, RFC 1700)."""
UDP_PORTS: dict[str, tuple[int, ...]] = {"domain_u": (53,), "ntp_u": (123,), "tftp_u": (69,)}
ICMP_TYPES: dict[str, tuple[int, ...]] = {
    "eco_i": (8,),
    "ecr_i": (0,),
    "red_i": (5,),
    "tim_i": (11,),
    "urh_i": (3,),
}
ICMPV6_TYPES: dict[str, tuple[int, ...]] = {
    "eco_i": (128,),
    "ecr_i": (129,),
    "red_i": (137,),
    "tim_i": (3,),
    "urh_i": (1,),
}
_PORT_UNREACHABLE = {_ICMP: (3, 3), _ICMPV6: (1, 4)}
_UNKNOWN_PORTS = ("harvest", "pm_dump")
"""Names of the list that no port is known for: they never come out."""

SERVICES: tuple[str, ...] = tuple(
    sorted(
        {*TCP_PORTS, *UDP_PORTS, *ICMP_TYPES, *_UNKNOWN_PORTS, "icmp", "urp_i", "private", "other"}
    )
)
_CODE = {name: code for code, name in enumerate(SERVICES)}


def _by_port(names: dict[str, tuple[int, ...]]) -> NDArray[np.uint8]:
    # Ports without a name: the files say private for SNMP's 161, and IANA for 49152 up.
    table = np.full(1 << 16, _CODE["other"], np.uint8)
    table[:1024] = table[49152:] = _CODE["private"]
    for name, ports in names.items():
        table[list(ports)] = _CODE[name]
    return table


def _by_type(names: dict[str, tuple[int, ...]]) -> NDArray[np.uint8]:
    table = np.full(1 << 16, _CODE["icmp"], np.uint8)
    for name, types in names.items():
        table[list(types)] = _CODE[name]
    return table


_TCP_CODES, _UDP_CODES = _by_port(TCP_PORTS), _by_port(UDP_PORTS)
_ICMP_CODES, _ICMPV6_CODES = _by_type(ICMP_TYPES), _by_type(ICMPV6_TYPES)


def service_codes(connections: NDArray[Any]) -> NDArray[np.uint8]:
    """(n,) index into `SERVICES` of each `CONNECTION` of TCP, UDP, ICMP or ICMPv6."""
    protocol, source, target = (connections[name] for name in ("protocol", "src_port", "dst_port"))
    out: NDArray[np.uint8] = np.where(protocol == _TCP, _TCP_CODES[target], _UDP_CODES[target])
    out[(protocol == _TCP) & (source == 20)] = _CODE["ftp_data"]  # the server opens those
    for number, table in ((_ICMP, _ICMP_CODES), (_ICMPV6, _ICMPV6_CODES)):
        own = protocol == number
        out[own] = table[source[own]]
        kind, code = _PORT_UNREACHABLE[number]
        out[own & (source == kind) & (target == code)] = _CODE["urp_i"]
    return out
