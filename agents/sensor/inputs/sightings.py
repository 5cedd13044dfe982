"""What a parser sees in a line: a connection, a claim, or something that happened on a host."""

from __future__ import annotations

from typing import NamedTuple

from ontology.host_event import HostEventKind
from ontology.records import Address


class Host(NamedTuple):
    """An address in the forms that rows and alerts want."""

    packed: bytes
    """16 network-order bytes, IPv4 mapped."""
    version: int
    value: Address


class Claim(NamedTuple):
    """A finding that the log states itself; `intake.Intake` makes the alert."""

    classification: str
    source: Host
    target: Host | None
    """None for a sweep whose targets the log does not name."""
    target_port: int | None
    protocol: int
    at_us: int
    confidence: float
    verified: bool
    """The tool saw a completed handshake, so that the source can't be forged off-path."""
    explanation: str


class HostSighting(NamedTuple):
    """One `HostEvent` before it has an id; texts may still be long or unprintable."""

    kind: HostEventKind
    key: str
    """Names the event in the log of its host: the same for the same lines read again."""
    host: Host
    at_us: int
    source: Host | None = None
    target: Host | None = None
    target_port: int | None = None
    user: str = ""
    login: str = ""
    session: str = ""
    process: int | None = None
    parent: int | None = None
    program: str = ""
    command_line: str = ""
    file_path: str = ""
    succeeded: bool = True


Sighting = bytes | Claim | HostSighting
"""What a line gives: a packed `CONNECTION` row, a claim, or an event of a host."""
