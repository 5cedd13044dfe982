"""What the supervisor tells a console, as records: pure, from its ledger's and directory's entries.

`agents.supervisor.feed` sends them; the console's `views` is their counterpart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from agents.supervisor.directory import Registration
from agents.supervisor.ledger import Explanation
from agents.supervisor.propagation import Entry, GatewayState
from agents.supervisor.store import AuditLine as LedgerLine
from ontology.oversight import AgentStatus, AuditLine, Ban, Receipt, Ruling
from ontology.records import Alert, Block, Decision, Incident, Record

Group = tuple[Record, ...]
"""Records that travel in one message, because they can't be read without each other."""

PART_BYTES: Final = 100_000
"""Estimated size at which a message is full; what `weight` leaves out stays below half of that."""


def derived_id(base: str, what: str) -> str:
    """The id of a record that says ``what`` of the record ``base``: always the same one."""
    return uuid5(NAMESPACE_URL, f"{base} {what}").urn


def ban_group(entry: Entry) -> Group:
    """A ban with its cause and its block on each gateway."""
    blocks = [_block(entry, state) for state in entry.gateways]
    confirmed = (
        block.id
        for block, state in zip(blocks, entry.gateways, strict=True)
        if entry.confirmed(state)
    )
    ban = Ban(
        id=entry.id,
        source=entry.source,
        cause=entry.cause.id,
        decision=entry.decision.id,
        ban_state=entry.state,
        since_us=entry.since_us,
        expires_us=entry.expires_us,
        ended_us=entry.ended_us,
        ended_by=entry.ended_by,
        blocks=tuple(sorted(block.id for block in blocks)),
        confirmed=tuple(sorted(confirmed)),
    )
    return (ban, entry.cause, *blocks)


def _block(entry: Entry, state: GatewayState) -> Block:
    return Block(
        id=derived_id(entry.id, f"on {state.gateway}"),
        decision=state.decision or entry.decision.id,
        gateway=state.gateway,
        source=entry.source,
        state=state.state,
        since_us=state.since_us,
        expires_us=state.expires_us,
        detail=state.detail,
    )


def ruling_group(
    decision: Decision, outcome: str, detail: str, entry: str | None, received_us: int
) -> Group:
    """A decision and what was made of it."""
    ruling = Ruling(
        id=derived_id(decision.id, "ruling"),
        decision=decision.id,
        ban=entry,
        outcome=outcome,
        detail=detail,
        received_us=received_us,
    )
    return (ruling, decision)


def evidence_groups(findings: Iterable[Incident | Alert], received_us: int) -> Iterator[Group]:
    """Incidents and alerts, each with when it was heard of."""
    for finding in findings:
        receipt = Receipt(
            id=derived_id(finding.id, "receipt"), received=(finding.id,), received_us=received_us
        )
        yield (receipt, finding)


def explanation_groups(entry: Entry, why: Explanation) -> Iterator[Group]:
    """Why an entry exists. The ledger's explanation doesn't say when evidence came: with the
    first decision, at the latest."""
    received_us = min((r.received_us for r in why.rulings), default=entry.since_us)
    yield from evidence_groups((*why.incidents, *why.alerts), received_us)
    for r in why.rulings:
        yield ruling_group(r.decision, r.outcome, r.detail, entry.id, r.received_us)


def audit_group(line: LedgerLine) -> Group:
    """A line of the trail."""
    return (
        AuditLine(
            id=derived_id(f"audit {line.seq}", line.hash),
            line_number=line.seq,
            audited_us=line.at_us,
            actor=line.who,
            act=line.what,
            subject=line.subject,
            reason=line.reason,
            line_hash=line.hash,
        ),
    )


def agent_group(entry: Registration) -> Group:
    """A directory entry and its state."""
    status = AgentStatus(
        id=derived_id(entry.description.name, "status"),
        agent=entry.description.id,
        agent_state="up" if entry.up else "silent",
        since_us=entry.since_us,
        renewed_us=entry.renewed_us,
    )
    return (entry.description, status)


_ADDRESS: Final = 320
"""An address as a value, and the description of its host."""


def weight(record: Record) -> int:
    """About how many bytes a record takes in a fragment, and not less than it does.

    Text counts as JSON writes it, which escapes at least what Turtle does; a property's name and
    a host's description are counted as constants.
    """
    total = 120
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, str):
            total += 40 + len(json.dumps(value))
        elif isinstance(value, tuple):
            total += sum(_ADDRESS if not isinstance(v, str) else 20 + len(v) for v in value)
        elif isinstance(value, IPv4Address | IPv6Address):
            total += _ADDRESS
        else:
            # A time is written twice, once for people.
            total += 140 if field.name.endswith("_us") else 60
    return total


def pack(groups: Iterable[Group], limit: int = PART_BYTES) -> Iterator[tuple[Record, ...]]:
    """The groups in their order, as few messages as they take; no record twice in one message.

    A group above the limit is a message of its own.
    """
    part: dict[str, Record] = {}
    size = 0
    for group in groups:
        added = {record.id: record for record in group if record.id not in part}
        extra = sum(map(weight, added.values()))
        if part and size + extra > limit:
            yield tuple(part.values())
            part, size = {}, 0
            added = {record.id: record for record in group}
            extra = sum(map(weight, added.values()))
        part |= added
        size += extra
    if part:
        yield tuple(part.values())
