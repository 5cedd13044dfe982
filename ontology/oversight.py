"""Records of oversight: what the supervisor tells a console, and what an operator asks through it.

`ontology.records` lists them with the others. A ban names its cause and its blocks by their ids;
whoever sends a ban sends those along, so that each fragment can be read alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from ontology.host_profile import Address
from ontology.ranges import check_member, check_time

BanState = Literal["active", "lifted", "expired"]
BanActionName = Literal["block", "lift", "extend", "shorten", "approve", "veto", "undo"]
BanOutcome = Literal["", "unknown", "ended", "refused"]
AgentState = Literal["up", "silent"]

USER_PREFIX: Final = "user:"
"""An origin that begins with this names a person who uses the console."""


def _check_times(record: object, *names: str) -> None:
    for name in names:
        check_time(name, getattr(record, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """What is wanted of all gateways about one source, as the supervisor keeps it."""

    id: str
    source: Address
    cause: str
    """Id of the decision that began it: why the source is blocked."""
    decision: str
    """Id of the decision in force, the last that set the end."""
    ban_state: BanState
    since_us: int
    expires_us: int
    ended_us: int = 0
    """0 while it is active."""
    ended_by: str = ""
    """Bare JID, ``user:NAME``, or ``time``; empty while it is active."""
    blocks: tuple[str, ...] = ()
    """Ids of its `Block` on each gateway, sorted."""
    confirmed: tuple[str, ...] = ()
    """Those of them that do what is wanted, the latest extension included; sorted."""

    def __post_init__(self) -> None:
        _check_times(self, "since_us", "expires_us", "ended_us")
        check_member("ban_state", self.ban_state, get_args(BanState))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the supervisor made of a decision."""

    id: str
    decision: str
    ban: str | None
    """Id of the ban that it began, changed or met; None where there is none."""
    outcome: str
    """``blocked``, ``extended``, ``shortened``, ``covered``, ``held``, ``vetoed``, ``unblocked``,
    ``nothing`` or ``refused``."""
    detail: str
    received_us: int

    def __post_init__(self) -> None:
        _check_times(self, "received_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """When the supervisor first heard of incidents and alerts."""

    id: str
    received: tuple[str, ...]
    """Their ids, sorted."""
    received_us: int

    def __post_init__(self) -> None:
        _check_times(self, "received_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """Who did what to what, when and why: a line of the supervisor's audit trail.

    From a console it is a line to be written: number and hash are the supervisor's to give.
    """

    id: str
    line_number: int
    """Consecutive; 0 in a line that isn't written yet."""
    audited_us: int
    actor: str
    """Bare JID of an agent, or ``user:NAME``."""
    act: str
    subject: str
    reason: str
    line_hash: str
    """SHA-256 over the line before and this one, in hexadecimal."""

    def __post_init__(self) -> None:
        _check_times(self, "audited_us")
        if self.line_number < 0:
            raise ValueError(f"line_number must not be negative, got {self.line_number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """How the directory sees an agent that has registered."""

    id: str
    agent: str
    """Id of its `AgentDescription`."""
    agent_state: AgentState
    """``silent``: its lease has lapsed."""
    since_us: int
    """When this process of the agent first registered."""
    renewed_us: int

    def __post_init__(self) -> None:
        _check_times(self, "since_us", "renewed_us")
        check_member("agent_state", self.agent_state, get_args(AgentState))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPart:
    """The first record of each message of a feed: which part of it the message is.

    A feed is a snapshot (its first part opens it, its last part closes it), then changes. Who
    misses a number subscribes anew and gets another feed.
    """

    id: str
    feed: str
    """Names the feed; a new one for each snapshot."""
    part_number: int
    """1, 2, 3 …"""
    opens_snapshot: bool
    closes_snapshot: bool

    def __post_init__(self) -> None:
        if self.part_number < 1:
            raise ValueError(f"part_number counts from 1, got {self.part_number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BanAction:
    """What an operator wants done; in a refusal, why it was not."""

    id: str
    ban_action: BanActionName
    ban: str | None = None
    """Id of the ban that it is about; ``undo``: the last that the same person changed."""
    source: Address | None = None
    """The address to block."""
    duration_s: int = 0
    """``block``: how long; ``extend``, ``shorten``: how much longer, shorter; ``lift``, ``veto``:
    for how long the same must not block again."""
    origin: str
    """``user:NAME``."""
    reason: str
    outcome: BanOutcome = ""
    """In a refusal: there is no such ban, it has ended, or it must not be done."""
    detail: str = ""
    """In a refusal: why, in a sentence."""

    def __post_init__(self) -> None:
        check_member("ban_action", self.ban_action, get_args(BanActionName))
        check_member("outcome", self.outcome, get_args(BanOutcome))
        if (self.source is None) == (self.ban_action == "block"):
            raise ValueError("source: a block names an address, all others don't")
        if (self.ban is None) != (self.ban_action in ("block", "undo")):
            raise ValueError("ban: a block names an address, undo nothing, all others a ban")
        if not self.origin.startswith(USER_PREFIX):
            raise ValueError(f"origin must be {USER_PREFIX}NAME, got {self.origin!r}")
        if not 0 <= self.duration_s <= 366 * 86400:
            raise ValueError(f"duration_s must lie in [0, 31622400], got {self.duration_s}")
        if self.duration_s == 0 and self.ban_action in ("block", "extend", "shorten"):
            raise ValueError(f"duration_s: {self.ban_action} takes a time")
        if self.duration_s and self.ban_action in ("approve", "undo"):
            raise ValueError(f"duration_s: {self.ban_action} takes no time")


OversightRecord = FeedPart | Ban | Ruling | Receipt | AuditLine | AgentStatus | BanAction
"""The records of this module."""
