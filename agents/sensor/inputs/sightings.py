"""What a parser sees in a line: a connection, a claim, what happened on a host, what was left."""

from __future__ import annotations

from typing import NamedTuple

from ontology.host_event import HostEventKind
from ontology.records import Address, Alert


class Host(NamedTuple):
    """An address in the forms that rows and alerts want."""

    packed: bytes
    """16 network-order bytes, IPv4 mapped."""
    version: int
    value: Address


class Named(NamedTuple):
    """What a signature is, and what it is about."""

    signature: str
    """Individual of ``idps:Signature``; empty if its number is not known."""
    cves: tuple[str, ...]
    services: tuple[str, ...]
    systems: tuple[str, ...]


class LoggedPacket(NamedTuple):
    """A packet as a log holds it: strangers' bytes in base64, not looked at yet."""

    data: str
    link_type: int
    source_port: int
    target_port: int
    """Of the claim's source and target."""


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
    severity: float | None = None
    """[0, 1], where the tool says how bad it is."""
    users: tuple[str, ...] = ()
    """Accounts that it is about; texts may still be long or unprintable."""
    named: Named | None = None
    """The signature that says so."""
    packet: LoggedPacket | None = None
    """What it rests on."""


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


class Traces(NamedTuple):
    """What a visitor left behind; `observed_traces` bounds, cleans and groups it."""

    source: Host
    target: Host | None
    port: int
    at_us: int
    verified: bool
    left: tuple[tuple[str, object], ...]
    """(one of `observed_traces.KINDS`, what the log holds)"""


class Refused(NamedTuple):
    """A part of a line, or of lines that belong together, that can't be used."""

    reason: str
    """One word, as of `LineRefused`."""
    detail: str
    """Printable, one line: which part, and why."""


Sighting = bytes | Claim | HostSighting | Traces | Alert | Refused
"""What a line gives: a packed `CONNECTION` row, a claim, an event of a host, what somebody left
behind, or an alert as another manager made it; what is refused of a line comes last."""
