"""Who may say what to whom: the authorisation of every record that travels.

The transport only proves an account and the signature only proves a name; this table says which
role may send which record with which performative to which role. What isn't in it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.trust.identity import Peer, Refused
from ontology.oversight import USER_PREFIX, AuditLine, BanAction
from ontology.records import (
    ROLES,
    AgentDescription,
    Alert,
    Block,
    BlocksInForce,
    ConnectionBatch,
    Decision,
    GatewayAddresses,
    HostEvent,
    ObservedData,
    OntologyAction,
    Record,
    TrafficCluster,
)

_ALL = frozenset(ROLES)
_Rule = tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]


def _rule(senders: str, performatives: str, records: str, receivers: str) -> _Rule:
    return (
        _ALL if senders == "*" else frozenset(senders.split()),
        frozenset(performatives.split()),
        frozenset(records.split()),
        _ALL if receivers == "*" else frozenset(receivers.split()),
    )


PERMITTED = (
    _rule("sensor", "inform", "ConnectionBatch Alert", "analyzer"),
    _rule("sensor", "inform", "HostEvent", "analyzer"),
    # Of managers of others, who sent them to the console (docs/idmef.md).
    _rule("console", "inform", "Alert", "analyzer"),
    _rule("analyzer", "inform", "HostEvent", "ontology"),
    # What visitors of decoys left behind: archived, and judged by nobody.
    _rule("sensor", "inform", "ObservedData", "ontology"),
    _rule("correlation ontology", "subscribe cancel", "Subscription", "analyzer"),
    _rule("analyzer", "agree refuse", "Subscription", "correlation ontology"),
    _rule("analyzer", "inform", "Alert", "correlation ontology"),
    _rule("correlation", "request", "Decision Incident Alert", "supervisor"),
    _rule("correlation", "inform", "Decision Incident Alert", "supervisor"),
    _rule("supervisor", "agree refuse inform failure", "Decision Block", "correlation"),
    _rule("supervisor", "request", "Decision", "reaction"),
    _rule("correlation", "request", "Decision", "reaction"),
    _rule("correlation", "subscribe cancel", "Subscription", "correlation"),
    _rule("correlation", "agree refuse", "Subscription", "correlation"),
    _rule("correlation", "inform", "Decision Incident Alert", "correlation"),
    _rule("reaction", "agree refuse inform failure", "Block", "supervisor correlation"),
    _rule("reaction", "inform", "GatewayAddresses", "supervisor correlation"),
    # What each of them holds to be in force; where they differ is told block by block.
    _rule("supervisor", "query-ref", "BlocksInForce", "reaction"),
    _rule("reaction", "inform-ref", "BlocksInForce", "supervisor"),
    _rule("*", "request", "AgentDescription", "supervisor"),
    _rule("supervisor", "inform", "AgentDescription", "*"),
    _rule("correlation supervisor", "inform", "Incident Decision Block Alert", "ontology"),
    _rule("ontology", "inform", "OntologyChanged", "*"),
    _rule("ontology", "inform", "KnowledgePiece", "correlation"),
    # What it made of them: taken over, refused, or taken back because windows failed.
    _rule("correlation", "inform refuse failure", "OntologyChanged", "ontology"),
    _rule("analyzer console", "subscribe", "Subscription", "ontology"),
    _rule("ontology", "agree refuse", "Subscription", "analyzer console"),
    _rule("ontology", "inform", "TrafficCluster", "analyzer console supervisor"),
    _rule("supervisor", "request", "TrafficCluster", "ontology"),
    _rule("ontology", "refuse", "TrafficCluster", "supervisor"),
    # A console: what it is told, and what operators ask through it (the claims say in whose name).
    _rule("console", "subscribe cancel", "Subscription", "supervisor"),
    _rule("supervisor", "agree refuse", "Subscription", "console"),
    _rule(
        "supervisor",
        "inform",
        "FeedPart Ban Ruling Receipt AuditLine AgentStatus Decision Block Incident Alert",
        "console",
    ),
    _rule("console", "request", "BanAction TrafficCluster OntologyAction", "supervisor"),
    _rule("supervisor", "inform", "TrafficCluster OntologyAction", "console"),
    _rule("supervisor", "refuse failure", "BanAction TrafficCluster OntologyAction", "console"),
    _rule("console", "inform", "AuditLine", "supervisor"),
    # The packets that an alert rests on stay where they were seen, until somebody asks.
    _rule("console", "query-ref", "Alert", "sensor"),
    _rule("sensor", "inform-ref", "PacketEvidence", "console"),
    _rule("*", "query-ref query-if", "Query", "ontology"),
    _rule("ontology", "inform-ref inform refuse", "Answer", "*"),
    # Who may assert and retract, not only translate and export: see ASSERTERS.
    _rule("*", "request", "OntologyAction", "ontology"),
    _rule("ontology", "inform refuse", "OntologyAction", "*"),
    _rule("correlation", "subscribe", "Subscription", "ontology"),
    _rule("ontology", "agree refuse", "Subscription", "correlation"),
    _rule("ontology", "inform", "HostProfile", "correlation"),
)
"""(sender roles, performatives, record classes, receiver roles); a message needs one rule per
record."""

ASSERTERS = frozenset({"supervisor"})
"""Roles that may change what the ontology agent holds for true."""

_ASKING = frozenset({"translate", "export"})
"""Actions that change nothing."""

SPOKESMEN = frozenset({"console", "supervisor"})
"""Roles that may speak in the name of a person: the console asks, the supervisor passes it on."""

_SAME_NODE = frozenset(
    {("sensor", "analyzer"), ("correlation", "reaction"), ("reaction", "correlation")}
)
"""A sensor reports to the analyzer of its node and to no other; a correlation agent orders the
gateway of its node and no other."""

_BARE = frozenset({"agree", "refuse", "failure", "not-understood", "cancel", "confirm", "inform"})
"""Performatives of answers, which may come without records, from any agent to any."""


def _allowed(sender: Peer, receiver: Peer, performative: str, record: str) -> bool:
    return any(
        sender.role in senders
        and performative in performatives
        and record in records
        and receiver.role in receivers
        for senders, performatives, records, receivers in PERMITTED
    )


def check_roles(sender: Peer, receiver: Peer, performative: str, records: Sequence[Record]) -> None:
    """Raises: Refused with reason ``role`` if the sender may not say this to the receiver."""
    if not records and performative not in _BARE:
        raise Refused("role", f"{performative} without a record")
    if records and (sender.role, receiver.role) in _SAME_NODE and sender.node != receiver.node:
        raise Refused("role", f"{sender.jid} belongs to another node")
    for name in dict.fromkeys(type(record).__name__ for record in records):
        if not _allowed(sender, receiver, performative, name):
            raise Refused(
                "role", f"a {sender.role} may not {performative} {name} to a {receiver.role}"
            )
    _check_claims(sender, receiver, records)


def _check_claims(sender: Peer, receiver: Peer, records: Iterable[Record]) -> None:
    """A record that names its author must name the one who signed; facts are for `ASSERTERS`, and
    a person's name is for `SPOKESMEN`."""
    for record in records:
        if isinstance(record, OntologyAction) and record.ontology_action not in _ASKING:
            asks_the_supervisor = (sender.role, receiver.role) == ("console", "supervisor")
            if sender.role not in ASSERTERS | {"ontology"} and not asks_the_supervisor:
                raise Refused("role", f"a {sender.role} may not {record.ontology_action} facts")
        lifts = isinstance(record, Decision) and record.action == "unblock"
        if lifts and sender.role == "correlation" and receiver.role != "reaction":
            # It withdraws its own claim at its gateway; a supervisor would lift everybody's.
            raise Refused("role", "a correlation agent lifts no ban of others")
        match record:
            case AgentDescription() if sender.role != "supervisor":
                claimed = (record.name, record.role, record.node)
                honest = claimed == (sender.jid, sender.role, sender.node)
            case Block() if sender.role == "reaction":
                honest = record.gateway == sender.node
            case GatewayAddresses():
                honest = record.node == sender.node
            case BlocksInForce() if sender.role == "reaction":
                honest = record.node == sender.node
            case Decision() if sender.role == "correlation":
                honest = record.origin == sender.jid
            case Alert() if sender.role == "analyzer":
                honest = record.analyzer == sender.jid
            case Alert() if sender.role == "sensor" or receiver.role == "analyzer":
                honest = record.sensor == sender.jid
            case HostEvent() if sender.role == "sensor":
                honest = record.sensor == sender.jid
            case ConnectionBatch() | ObservedData():
                honest = record.sensor == sender.jid
            case Decision() | BanAction() if record.origin.startswith(USER_PREFIX):
                honest = sender.role in SPOKESMEN
            case TrafficCluster() | OntologyAction() if sender.role == "console":
                honest = record.detail.startswith(USER_PREFIX)
            case AuditLine() if sender.role == "console":
                honest = record.actor.startswith(USER_PREFIX) and record.line_number == 0
            case _:
                honest = True
        if not honest:
            raise Refused("role", f"{sender.jid} speaks for another in {type(record).__name__}")
