"""Connections as they travel: the record `ConnectionBatch` (`ontology.records` lists it)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ontology.ranges import check_time

# One network connection (a "flow record" of both directions: a biflow, RFC 5103), little endian and
# packed. Addresses are 16 network-order bytes; IPv4 is IPv4-mapped (::ffff:a.b.c.d, RFC 4291
# section 2.5.5.2). "orig" is the side that sent the first packet, "resp" the other.
CONNECTION = np.dtype(
    [
        ("start_us", "<i8"),  # first packet, epoch microseconds
        ("duration_us", "<i8"),
        ("src", "u1", (16,)),  # originator
        ("dst", "u1", (16,)),  # responder
        ("src_port", "<u2"),  # ICMP: type
        ("dst_port", "<u2"),  # ICMP: code
        ("protocol", "u1"),  # IANA protocol number; 254 stands for ARP
        ("ip_version", "u1"),  # 4 or 6
        ("state", "u1"),  # index into CONNECTION_STATES
        ("orig_flags", "u1"),  # OR of the TCP flags seen from the originator
        ("resp_flags", "u1"),
        ("orig_packets", "<u4"),
        ("resp_packets", "<u4"),
        ("orig_bytes", "<u8"),  # payload bytes, without headers
        ("resp_bytes", "<u8"),
        ("wrong_fragments", "<u2"),
        ("urgent", "<u2"),
        ("failed_logins", "<u2"),  # refusals in cleartext (FTP 530, HTTP 401 …)
        ("login_attempts", "<u2"),  # PASS and the like seen in cleartext
        ("indicators", "<u4"),  # bit i: INDICATORS[i] seen in the payload
        # Content features of KDD Cup 99 (docs/records.md), from cleartext; counts stay at 255.
        ("hot", "u1"),
        ("compromised", "u1"),
        ("root_actions", "u1"),
        ("file_creations", "u1"),
        ("shells", "u1"),
        ("access_files", "u1"),
        ("content_flags", "u1"),  # bit i: CONTENT_FLAGS[i]
        # 1: all of this is part of a conversation in which the originator acknowledged the
        # responder's own sequence numbers, so that it can't be forged off-path (decision 5).
        ("conversation", "u1"),
    ]
)

CONNECTION_STATES = (
    "OTH",  # midstream, or not TCP and nothing to say
    "S0",  # SYN, no answer
    "S1",  # established, not ended
    "SF",  # normal (TCP: opened and ended; UDP and ICMP: answered)
    "REJ",  # SYN answered by RST
    "RSTO",  # established, originator aborted
    "RSTR",  # established, responder aborted
    "SH",  # SYN then FIN, no answer
)
"""KDD Cup 99 / Bro connection states ("flag"); KDD Cup 99 task description."""

INDICATORS = (
    "SqlInjection",
    "CrossSiteScripting",
    "PathTraversal",
    "CommandInjection",
    "SshBanner",
    "VersionProbe",
    "TrustChange",
    "FormLogin",
    "ServiceControl",
    "ServiceTakeover",
    "SipScanner",
    "NumberCalled",
    "TollFraud",
    "ControllerAsked",
    "ControllerWritten",
    "ControllerHalted",
    "BotProbe",
    "HostLookedOver",
    "ProgramDropped",
    "SmbHoleTried",
    "ProgramOnAdminShare",
    "ServiceCreated",
    "RdpHoleTried",
    "ProxyAsked",
    "OldSmbAsked",
)
"""What the sensor's payload look-up can mark on a connection; the first four are attack classes."""

CONTENT_COUNTS = (
    "hot",
    "compromised",
    "root_actions",
    "file_creations",
    "shells",
    "access_files",
)
"""Columns of `CONNECTION` that count content features of KDD Cup 99 (table 2 of the task)."""
CONTENT_FLAGS = ("LoggedIn", "RootShell", "SuAttempted", "HostLogin", "GuestLogin")
"""Bits of ``content_flags``: the content features of KDD Cup 99 that are yes or no."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConnectionBatch:
    """Connections that one sensor closed (or reports on) in one interval."""

    id: str
    """``urn:uuid:…``; every record has one, it is the individual's IRI."""
    sensor: str
    """Bare JID of the reporting sensor (a plain name in offline use)."""
    begin_us: int
    end_us: int
    packets: int
    """Packets decoded in the interval."""
    dropped: int
    """Packets lost in the interval (kernel ring and memory bound together)."""
    malformed: int
    """Packets whose headers contradict themselves or end early."""
    connections: NDArray[np.void]
    """(n,) of dtype `CONNECTION`, in order of ``start_us``."""

    def __post_init__(self) -> None:
        check_time("begin_us", self.begin_us)
        check_time("end_us", self.end_us)
        if self.connections.dtype != CONNECTION or self.connections.ndim != 1:
            raise ValueError(
                f"connections must be (n,) of CONNECTION, got {self.connections.dtype}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConnectionBatch):
            return NotImplemented
        return (
            self.id == other.id
            and self.sensor == other.sensor
            and self.begin_us == other.begin_us
            and self.end_us == other.end_us
            and self.packets == other.packets
            and self.dropped == other.dropped
            and self.malformed == other.malformed
            and self.connections.tobytes() == other.connections.tobytes()
        )

    def __hash__(self) -> int:
        return hash(self.id)
