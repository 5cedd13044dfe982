"""Connections to KDD Cup 99 records: all 41 features, in the order and the values of the files.

`HOW` says of every feature whether it is exact, approximated or absent; docs/records.md shows the
same table (`as_markdown`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.kdd.kdd99 import FEATURES
from datasets.kdd.services import SERVICES, service_codes
from datasets.kdd.windows import FLAGS, HOST_WINDOW, SEEN, TRAFFIC, TrafficWindows
from ontology.records import CONNECTION_STATES, CONTENT_FLAGS

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_FIN, _SYN, _RST = 1, 2, 4

PROTOCOLS = ("icmp", "tcp", "udp")
RATES: tuple[str, ...] = tuple(name for name in FEATURES if name.endswith("_rate"))
WORDS: dict[str, tuple[str, ...]] = {
    "protocol_type": PROTOCOLS,
    "service": SERVICES,
    "flag": FLAGS,
}
"""The features whose values are words; `KddRecorder` gives the position of the word."""

_LINES = 2048
"""Records made into text at once."""

EXACT, NEAR, ABSENT = "exact", "approximated", "absent"
_TIME = "connections in the past 2 s, this one included"
_LAST = "among the last 100 connections (`--host-window` up to 255, as the files have it)"
_HOST_PART = "of those to the same host, the share that"
_SRV_PART = "of those to the same service, the share that"
_DESCRIBED = "`1 - {}` as described; the files count distinct {} there ({} of two: 1.00, not 0.50)"

HOW: dict[str, tuple[str, str]] = {
    "duration": (EXACT, "whole seconds from the first packet to the last, rounded down"),
    "protocol_type": (EXACT, "tcp, udp, icmp (also ICMPv6); others have no record and are counted"),
    "service": (
        NEAR,
        "by destination port or ICMP type; the list of the ports was never published: unnamed "
        "ports below 1024 and from 49152 are `private`, the rest `other`; harvest and pm_dump "
        "have no known port; TCP from port 20 is `ftp_data`",
    ),
    "flag": (EXACT, "how a TCP connection went and ended; UDP and ICMP are SF, as in the files"),
    "src_bytes": (
        NEAR,
        "payload sent by the originator (ICMP: with its 8-byte header, as in the files); "
        "retransmitted bytes count again",
    ),
    "dst_bytes": (
        NEAR,
        "the same of the responder; an ICMP reply belongs to its request's record, where the files "
        "have two",
    ),
    "land": (EXACT, "TCP or UDP from and to the same address and port"),
    "wrong_fragment": (NEAR, "fragments that no honest stack sends; fragments have ports 0"),
    "urgent": (EXACT, "packets with the URG flag"),
    "hot": (
        NEAR,
        "FTP: system directories, SITE EXEC and CHMOD; Telnet: those, compilers, interpreters and "
        "./programs; SMTP: WIZ, DEBUG, VRFY root, pipes as names; HTTP: kinds of attack string",
    ),
    "num_failed_logins": (
        NEAR,
        "refusals by the server: FTP 530, SMTP 535, POP3, IMAP, Telnet, HTTP 401",
    ),
    "logged_in": (
        NEAR,
        "FTP 230, SMTP 235, Telnet: a shell prompt; HTTP and SMTP that were answered and not "
        "refused, as in the files (68,242 of 68,255); 0 for ftp_data, where the files say 1",
    ),
    "num_compromised": (NEAR, '"not found" errors, by FTP (550) and Telnet'),
    "root_shell": (NEAR, "Telnet: a prompt that ends in #"),
    "su_attempted": (NEAR, "Telnet: su to root, or sudo; 0 or 1 as described, never the files' 2"),
    "num_root": (NEAR, "Telnet: commands typed at a # prompt"),
    "num_file_creations": (NEAR, "FTP: STOR, STOU, APPE, MKD, RNTO; Telnet: touch, cp, > and such"),
    "num_shells": (NEAR, "Telnet: commands that start a shell"),
    "num_access_files": (
        NEAR,
        "operations on /etc/passwd, shadow, sudoers, .rhosts and such: FTP, Telnet, HTTP",
    ),
    "num_outbound_cmds": (ABSENT, "0, as in all 494,021 records of the 10 % file"),
    "is_host_login": (NEAR, "1: FTP or Telnet login as root, admin and such that succeeded"),
    "is_guest_login": (NEAR, "1: FTP or Telnet login as anonymous, ftp or guest that succeeded"),
    "count": (EXACT, f"{_TIME}, to the same host; at most 511"),
    "srv_count": (EXACT, f"{_TIME}, to the same service; at most 511"),
    "serror_rate": (EXACT, f"{_HOST_PART} have a SYN error (S0, S1, S2, S3, SH)"),
    "srv_serror_rate": (EXACT, f"{_SRV_PART} have a SYN error"),
    "rerror_rate": (EXACT, f"{_HOST_PART} have a REJ error (REJ, RSTO, RSTOS0, RSTR)"),
    "srv_rerror_rate": (EXACT, f"{_SRV_PART} have a REJ error"),
    "same_srv_rate": (EXACT, f"{_HOST_PART} are to the same service"),
    "diff_srv_rate": (EXACT, _DESCRIBED.format("same_srv_rate", "services", "one")),
    "srv_diff_host_rate": (
        EXACT,
        f"{_SRV_PART} are to other hosts; the files count distinct hosts there",
    ),
    "dst_host_count": (EXACT, f"to the same host {_LAST}, this one included"),
    "dst_host_srv_count": (EXACT, "the same, to the same service"),
    "dst_host_same_srv_rate": (EXACT, "as same_srv_rate, in that window"),
    "dst_host_diff_srv_rate": (EXACT, "as diff_srv_rate, in that window"),
    "dst_host_same_src_port_rate": (
        EXACT,
        f"{_HOST_PART} have the same source port (ICMP has none: 1)",
    ),
    "dst_host_srv_diff_host_rate": (EXACT, "as srv_diff_host_rate, in that window"),
    "dst_host_serror_rate": (EXACT, "as serror_rate, in that window"),
    "dst_host_srv_serror_rate": (EXACT, "as srv_serror_rate, in that window"),
    "dst_host_rerror_rate": (EXACT, "as rerror_rate, in that window"),
    "dst_host_srv_rerror_rate": (EXACT, "as srv_rerror_rate, in that window"),
}
"""Feature: (exact, approximated or absent; what it counts here)."""


def as_markdown() -> str:
    """`HOW` as the table of docs/records.md."""
    lines = ["| feature | | what it is here |", "|---|---|---|"]
    lines += [f"| `{name}` | {HOW[name][0]} | {HOW[name][1]} |" for name in FEATURES]
    return "\n".join(lines)


def has_record(connections: NDArray[Any]) -> NDArray[np.bool_]:
    """Which connections are of a protocol that KDD Cup 99 knows."""
    out: NDArray[np.bool_] = np.isin(connections["protocol"], (_ICMP, _TCP, _UDP, _ICMPV6))
    return out


def flags(connections: NDArray[Any]) -> NDArray[np.uint8]:
    """(n,) index into `datasets.kdd.windows.FLAGS`."""
    tcp = connections["protocol"] == _TCP
    orig, resp = connections["orig_flags"], connections["resp_flags"]
    names = np.array([FLAGS.index(state) for state in CONNECTION_STATES], np.uint8)
    out: NDArray[np.uint8] = names[connections["state"]]
    open_ = connections["state"] == CONNECTION_STATES.index("S1")
    out[open_ & (orig & _FIN > 0)] = FLAGS.index("S2")
    out[open_ & (resp & _FIN > 0)] = FLAGS.index("S3")
    gone = (orig & _SYN > 0) & (orig & _RST > 0) & (resp & (_SYN | _RST) == 0)
    out[gone] = FLAGS.index("RSTOS0")
    out[~tcp] = FLAGS.index("SF")
    return out


class KddRecorder:
    """Makes the records of one stream of connections. Memory is that of its windows."""

    def __init__(self, *, host_window: int = HOST_WINDOW) -> None:
        self.windows = TrafficWindows(host_window=host_window)

    def records(self, connections: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """All features of ``connections`` ((n,) `CONNECTION`, `has_record`, in order of start).

        Returns: for each of `FEATURES` its (n,) column: integers, of `RATES` floats with two
            decimals, of `WORDS` positions in the tuple there.
        """
        c = connections
        protocol = c["protocol"]
        tcp, udp = protocol == _TCP, protocol == _UDP
        service, flag = service_codes(c), flags(c)
        out: dict[str, NDArray[Any]] = {
            "duration": c["duration_us"] // 1_000_000,
            "protocol_type": np.where(tcp, 1, np.where(udp, 2, 0)).astype(np.uint8),
            "service": service,
            "flag": flag,
        }
        header = np.where(tcp | udp, 0, 8)
        for name, end in (("src_bytes", "orig"), ("dst_bytes", "resp")):
            sent = header * c[f"{end}_packets"].astype(np.int64)
            out[name] = c[f"{end}_bytes"].astype(np.int64) + sent
        same_ends = (c["src"] == c["dst"]).all(axis=1) & (c["src_port"] == c["dst_port"])
        out["land"] = (same_ends & (tcp | udp)).astype(np.int64)
        out["wrong_fragment"], out["urgent"] = c["wrong_fragments"], c["urgent"]
        strings = sum((c["indicators"] >> bit & 1).astype(np.int64) for bit in range(4))
        out["hot"] = c["hot"] + strings
        out["num_failed_logins"] = c["failed_logins"]
        said = {
            name: (c["content_flags"] >> bit & 1).astype(np.int64)
            for bit, name in enumerate(CONTENT_FLAGS)
        }
        served = np.isin(service, [SERVICES.index(name) for name in ("http", "smtp")])
        served &= (c["resp_flags"] & _SYN > 0) & (c["resp_bytes"] > 0) & (c["failed_logins"] == 0)
        out["logged_in"] = np.maximum(said["LoggedIn"], served)
        out["num_compromised"] = c["compromised"]
        out["root_shell"], out["su_attempted"] = said["RootShell"], said["SuAttempted"]
        out["num_root"] = c["root_actions"]
        out["num_file_creations"], out["num_shells"] = c["file_creations"], c["shells"]
        out["num_access_files"] = c["access_files"]
        out["num_outbound_cmds"] = np.zeros(len(c), np.int64)
        out["is_host_login"] = said["HostLogin"] & said["LoggedIn"]
        out["is_guest_login"] = said["GuestLogin"] & said["LoggedIn"]
        seen = np.zeros(len(c), SEEN)
        seen["start_us"], seen["service"], seen["flag"] = c["start_us"], service, flag
        seen["dst"] = np.ascontiguousarray(c["dst"]).view(">u8").reshape(-1, 2)
        seen["src_port"] = np.where(tcp | udp, c["src_port"], 0)
        traffic = self.windows.add(seen)
        out.update((name, traffic[name]) for name in TRAFFIC)
        return out


def as_lines(records: dict[str, NDArray[Any]], label: str | None = None) -> Iterator[str]:
    """The records as lines of a KDD Cup 99 file, without their ends; ``label``: with that one.

    Without a label a line has 41 columns, as in ``kddcup.newtestdata_10_percent_unlabeled``.
    """
    for begin in range(0, len(records["duration"]), _LINES):
        columns: list[list[str]] = []
        for name in FEATURES:
            column = records[name][begin : begin + _LINES]
            if name in WORDS:
                columns.append(np.array(WORDS[name])[column].tolist())
            elif name in RATES:
                columns.append([f"{value:.2f}" for value in column.tolist()])
            else:
                columns.append([str(value) for value in column.tolist()])
        if label is not None:
            columns.append([label + "."] * len(columns[0]))
        yield from map(",".join, zip(*columns, strict=True))
