"""The records that agents exchange, each the mirror of the OWL class of the same name.

A field ``target_port`` is the property ``targetPort`` of ``ontoidps.owl``; `ontology.fragments` is
the only codec between the two, and a round-trip property test holds them together. Times are
integer microseconds since the Unix epoch (suffix ``_us``); the codec writes an ``xsd:dateTime``
beside each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from ontology.addresses import Network as Network
from ontology.blocks_in_force import BlocksInForce as BlocksInForce
from ontology.connection_batch import CONNECTION as CONNECTION
from ontology.connection_batch import CONNECTION_STATES as CONNECTION_STATES
from ontology.connection_batch import CONTENT_COUNTS as CONTENT_COUNTS
from ontology.connection_batch import CONTENT_FLAGS as CONTENT_FLAGS
from ontology.connection_batch import INDICATORS as INDICATORS
from ontology.connection_batch import ConnectionBatch as ConnectionBatch
from ontology.gateway_addresses import GatewayAddresses as GatewayAddresses
from ontology.host_event import HOST_EVENT_KINDS as HOST_EVENT_KINDS
from ontology.host_event import MAX_EVENTS_OF_ALERT, check_account_names
from ontology.host_event import HostEvent as HostEvent
from ontology.host_profile import Address as Address
from ontology.host_profile import HostProfile as HostProfile
from ontology.observed_data import ObservedData as ObservedData
from ontology.oversight import OversightRecord
from ontology.packet_evidence import PacketEvidence as PacketEvidence
from ontology.ranges import MAX_TIME_US as MAX_TIME_US
from ontology.ranges import check_member as _check_member
from ontology.ranges import check_time as _check_time
from ontology.traffic_cluster import TrafficCluster as TrafficCluster

AlertStage = Literal["original", "junior", "senior"]
"""AFF: from an analyzer, filtered, fused and assessed."""
DecisionAction = Literal["block", "unblock"]
DecisionScope = Literal["own", "cooperative"]
BlockState = Literal[
    "pending", "active", "refused", "failed", "lifted", "expired", "waiting", "shadow"
]
"""``waiting``: until a person approves it. ``shadow``: it would have been blocked, and is not."""
Role = Literal["sensor", "analyzer", "ontology", "correlation", "reaction", "supervisor", "console"]
OntologyActionName = Literal["assert", "retract", "translate", "enable", "disable", "export"]
KnowledgeKind = Literal["rules", "facts", "cluster-names", "words"]
"""``rules``: ontology, rules, attack models and reaction rules, which come into force together.
``words``: the classes, as JSON in ``detail``, for those who do not reason."""

ALERT_STAGES: tuple[AlertStage, ...] = get_args(AlertStage)
ACTIONS: tuple[DecisionAction, ...] = get_args(DecisionAction)
BLOCK_STATES: tuple[BlockState, ...] = get_args(BlockState)
DECISION_SCOPES: tuple[DecisionScope, ...] = get_args(DecisionScope)
ROLES: tuple[Role, ...] = get_args(Role)
ONTOLOGY_ACTIONS: tuple[OntologyActionName, ...] = get_args(OntologyActionName)
KNOWLEDGE_KINDS: tuple[KnowledgeKind, ...] = get_args(KnowledgeKind)


def _check_unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def _check_port(name: str, value: int | None) -> None:
    if value is not None and not 0 <= value <= 65535:
        raise ValueError(f"{name} must lie in [0, 65535], got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One analyzer finding ("alert", RFC 4766 section 2.2)."""

    id: str
    classification: str
    """Local name of a subclass of ``Attack`` in ``ontoidps.owl``, e.g. ``SynScan``."""
    source: Address | None
    """None when no single source can be named (a flood from forged addresses)."""
    target: Address | None
    """None for a sweep over many hosts (then ``targets`` says which)."""
    sources: tuple[Address, ...] = ()
    """A bounded sample (at most 16, sorted) when there are several."""
    targets: tuple[Address, ...] = ()
    source_count: int = 1
    """How many distinct sources were seen, also beyond the sample."""
    target_count: int = 1
    target_port: int | None = None
    protocol: int
    """IANA protocol number."""
    begin_us: int
    """First packet that belongs to the finding."""
    end_us: int
    """Last packet so far."""
    count: int = 1
    """Connections (or, after fusion, fused alerts' connections) behind the alert."""
    confidence: float
    """Degree of belief in [0, 1]."""
    verified_source: bool
    """True only if every connection behind it is part of a conversation in which the source proved
    to see the answers, so that it can't be forged off-path (decision 5)."""
    sensor: str
    analyzer: str
    explanation: str
    """Why, in a sentence a person can check: counts, ports, flags, cluster and distance."""
    signatures: tuple[str, ...] = ()
    """Individuals of class ``Signature`` that matched, at most 16, sorted."""
    cves: tuple[str, ...] = ()
    """Vulnerabilities that they name, ``CVE-YYYY-NNNN``, at most 16, sorted."""
    affected_services: tuple[str, ...] = ()
    """Protocols and products that they are about, at most 16, sorted."""
    affected_systems: tuple[str, ...] = ()
    """Systems that they name, at most 16, sorted."""
    stage: AlertStage = "original"
    """AFF: ``original`` (analyzer), ``junior`` (filtered), ``senior`` (fused and assessed)."""
    host_events: tuple[str, ...] = ()
    """Ids of the `HostEvent` it was made from, or that name the process behind it; sorted, at most
    `MAX_EVENTS_OF_ALERT`."""
    severity: float | None = None
    """[0, 1], as the tool that raised it says; None where none does."""
    users: tuple[str, ...] = ()
    """Accounts that were tried or logged in to, at most `MAX_USERS_OF_ALERT`, sorted."""
    cluster_number: int | None = None
    """Of the K-Means cluster that most of its connections are in."""
    cluster_name: str | None = None
    cluster_distance: float | None = None
    """Of its connection that is nearest to the centre of that cluster, in scaled features."""

    def __post_init__(self) -> None:
        _check_time("begin_us", self.begin_us)
        _check_time("end_us", self.end_us)
        _check_unit("confidence", self.confidence)
        _check_port("target_port", self.target_port)
        _check_member("stage", self.stage, ALERT_STAGES)
        if len(self.host_events) > MAX_EVENTS_OF_ALERT:
            raise ValueError(f"host_events must be at most {MAX_EVENTS_OF_ALERT}")
        if self.severity is not None:
            _check_unit("severity", self.severity)
        if self.cluster_distance is not None and not 0.0 <= self.cluster_distance < math.inf:
            raise ValueError(
                f"cluster_distance must be finite and not negative, got {self.cluster_distance}"
            )
        check_account_names(self.users)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What correlation inferred from alerts ("incident", RFC 4765), with its derivation."""

    id: str
    classification: str
    """Local name of a subclass of ``Incident``, e.g. ``ScanThenBruteForceIncident``."""
    source: Address | None
    targets: tuple[Address, ...]
    """Sorted."""
    alerts: tuple[str, ...]
    """Ids of the alerts it rests on, sorted."""
    rule: str
    """``rdfs:label`` of the SWRL rule that Pellet fired."""
    begin_us: int
    end_us: int
    severity: float
    """[0, 1]."""
    verified_source: bool
    explanation: str
    """The derivation in lines: the rule, then each fact it joined."""

    def __post_init__(self) -> None:
        _check_time("begin_us", self.begin_us)
        _check_time("end_us", self.end_us)
        _check_unit("severity", self.severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An order about one address (CrowdSec's word), made by correlation or a supervisor."""

    id: str
    action: DecisionAction
    """``block`` or ``unblock``."""
    source: Address
    """The address to act on."""
    target: Address | None = None
    """The attacked host, where there is one."""
    classification: str
    """Class of the incident behind it, or ``Manual``."""
    incident: str | None = None
    """Id of the incident behind it."""
    origin: str
    """Who decided: bare JID of the correlation agent, or ``user:NAME``."""
    decided_us: int
    duration_s: int
    """``block``: how long it lasts, from when the gateway applies it. ``unblock``: for how long the
    gateway takes no block of this address but a supervisor's; 0: a minute."""
    reason: str
    scope: DecisionScope = "own"
    """``own``: it rests on the decider's own evidence, and the gateway of its node has the order
    already. ``cooperative``: it rests on what another correlation agent published."""

    def __post_init__(self) -> None:
        _check_time("decided_us", self.decided_us)
        _check_member("action", self.action, ACTIONS)
        _check_member("scope", self.scope, DECISION_SCOPES)
        if not 0 <= self.duration_s <= 366 * 86400:
            raise ValueError(f"duration_s must lie in [0, 31622400], got {self.duration_s}")
        if self.action == "block" and self.duration_s == 0:
            raise ValueError("a block needs duration_s > 0: no block is for ever")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The state of one decision on one gateway, as its reaction agent reports it."""

    id: str
    decision: str
    gateway: str
    """Node name; ``*`` where a supervisor says it of the whole honeynet."""
    source: Address
    state: BlockState
    """One of `BLOCK_STATES`."""
    since_us: int
    """When this state began."""
    expires_us: int
    """When the kernel ends (or ended) the block; 0 where there never was one."""
    detail: str = ""
    """Why refused or failed: the allow-list entry, the kernel's error."""

    def __post_init__(self) -> None:
        _check_time("since_us", self.since_us)
        _check_time("expires_us", self.expires_us)
        _check_member("state", self.state, BLOCK_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDescription:
    """A FIPA directory entry (SC00023 df-agent-description) with a lease."""

    id: str
    name: str
    """Bare JID."""
    role: Role
    """One of `ROLES`."""
    node: str
    services: tuple[str, ...]
    """Sorted."""
    ontology_version: str
    lease_s: int
    """The entry lapses this long after its last renewal."""
    health: str = ""
    """Counters as ``name=value`` pairs, for the console's page."""
    conditions: str = ""
    """What the agent can't do just now, and what it loses, as `agents.base.conditions` writes it:
    a JSON array; empty if all is well."""

    def __post_init__(self) -> None:
        _check_member("role", self.role, ROLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A FIPA subscription (SC00035): the sender wants every record of ``topic``."""

    id: str
    topic: str
    """Record name, e.g. ``Alert``."""
    digest: str = ""
    """Topic ``OntologyChanged``: the digest of the rules that the sender has in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OntologyChanged:
    """A version of some knowledge is in force (from the ontology agent); or what a receiver made of
    it: taken over, or refused for the reason in ``detail``."""

    id: str
    kind: KnowledgeKind = "rules"
    """One of `KNOWLEDGE_KINDS`."""
    version: str
    """As people know it."""
    digest: str = ""
    """SHA-256 in hex over what is in force; equal digests are equal knowledge."""
    changed_us: int
    """Of two announcements of one kind and agent the later one holds."""
    piece_count: int = 0
    """How many `KnowledgePiece` belong to it; 0 if the content is in records beside it."""
    detail: str = ""

    def __post_init__(self) -> None:
        _check_time("changed_us", self.changed_us)
        _check_member("kind", self.kind, KNOWLEDGE_KINDS)
        if self.piece_count < 0:
            raise ValueError(f"piece_count must not be negative, got {self.piece_count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgePiece:
    """A part of one file of the knowledge that an `OntologyChanged` announces."""

    id: str
    announcement: str
    """Id of the `OntologyChanged`."""
    file_name: str
    piece_number: int
    """From 1."""
    piece_count: int
    """Pieces of this file."""
    file_bytes: int
    """Length of the whole file."""
    digest: str
    """SHA-256 of the whole file, in hex."""
    data: str
    """The pieces of a file, one after the other, are its content as zlib stream (RFC 1950) in
    base64 (RFC 4648)."""

    def __post_init__(self) -> None:
        if not 1 <= self.piece_number <= self.piece_count:
            raise ValueError(
                f"piece_number must lie in [1, {self.piece_count}], got {self.piece_number}"
            )
        if self.file_bytes < 0:
            raise ValueError(f"file_bytes must not be negative, got {self.file_bytes}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question to the ontology agent (FIPA query-ref)."""

    id: str
    sparql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a `Query`: SPARQL 1.1 results in JSON."""

    id: str
    query: str
    results: str
    truncated: bool = field(default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OntologyAction:
    """What is asked of the ontology agent, and its answer (FIPA Ontology Service, XC00086)."""

    id: str
    ontology_action: OntologyActionName
    """One of `ONTOLOGY_ACTIONS`."""
    fragment: str
    """Facts in Turtle; in the answer to ``translate`` what they became. ``enable`` and ``disable``:
    the label of a rule."""
    target_ontology: str = ""
    """IRI; ``translate`` only."""
    detail: str = ""
    """Asked: why, and for whom. Answered: the version in force, the losses, why refused."""

    def __post_init__(self) -> None:
        _check_member("ontology_action", self.ontology_action, ONTOLOGY_ACTIONS)


Record = (
    ConnectionBatch
    | HostEvent
    | Alert
    | PacketEvidence
    | Incident
    | Decision
    | Block
    | HostProfile
    | GatewayAddresses
    | BlocksInForce
    | ObservedData
    | AgentDescription
    | Subscription
    | OntologyChanged
    | KnowledgePiece
    | TrafficCluster
    | OntologyAction
    | Query
    | Answer
    | OversightRecord
)
"""Everything that may travel in a message."""
