"""Makers of records and settings, and stand-ins for an agent's surroundings, for all rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from agents.settings.honeynet import Settings
from agents.supervisor.propagation import Order
from ontology.records import AgentDescription, Alert, Block, Decision, Incident, Record

S = 1_000_000
T0 = 1_790_000_000 * S
GATEWAYS = ("gw1", "gw2", "gw3")


def urn(name: str) -> str:
    """A record id that is the same in every run."""
    return uuid5(NAMESPACE_URL, name).urn


def make_settings(state_dir: Path) -> Settings:
    """Three gateways; gw1 also runs the central agents."""
    return Settings.model_validate(
        {
            "name": "testnet",
            "state_dir": state_dir,
            "policy": {"allow": ["198.51.100.0/24", "2001:db8:a::/48"], "block_duration": "15m"},
            "node": [
                {
                    "name": name,
                    "agents": ["sensor", "analyzer", "reaction"]
                    + (
                        ["supervisor", "correlation", "ontology", "console"]
                        if name == "gw1"
                        else []
                    ),
                    "interfaces": ["eth0"],
                    "addresses": [f"10.0.{i}.1"],
                }
                for i, name in enumerate(GATEWAYS, 1)
            ],
        }
    )


def decision(name: str = "d1", source: str = "203.0.113.9", **changes: object) -> Decision:
    """A block decision of correlation."""
    base = Decision(
        id=urn(name),
        action="block",
        source=ip_address(source),
        target=ip_address("10.0.1.5"),
        classification="HoneypotBruteForceIncident",
        incident=urn(f"incident-{name}"),
        origin="correlation.gw1@honeynet.localdomain",
        decided_us=T0,
        duration_s=900,
        reason="21 failed logins on honeypot 10.0.1.5 after a scan",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def evidence(made: Decision, alerts: int = 2) -> tuple[Incident, tuple[Alert, ...]]:
    """The incident of a decision, and its alerts."""
    found = tuple(
        Alert(
            id=urn(f"{made.id}-alert-{i}"),
            classification=("SynScan", "FtpBruteForce")[i % 2],
            source=made.source,
            target=made.target,
            target_port=21,
            protocol=6,
            begin_us=made.decided_us - (alerts - i) * 4 * S,
            end_us=made.decided_us - (alerts - i) * 3 * S,
            count=21,
            confidence=0.93,
            verified_source=True,
            sensor="sensor.gw1@honeynet.localdomain",
            analyzer="analyzer.gw1@honeynet.localdomain",
            explanation=f"21 connections to port 21 in {3 + i} s, 20 answered 530",
        )
        for i in range(alerts)
    )
    incident = Incident(
        id=made.incident or urn("none"),
        classification=made.classification,
        source=made.source,
        targets=(made.target,) if made.target else (),
        alerts=tuple(sorted(a.id for a in found)),
        rule="ScanThenBruteForce",
        begin_us=found[0].begin_us,
        end_us=found[-1].end_us,
        severity=0.86,
        verified_source=True,
        explanation="ScanThenBruteForce fired\nscan on 10.0.1.5\nFtpBruteForce on 10.0.1.5, later",
    )
    return incident, found


def report(
    made: Decision, gateway: str, state: str = "active", at_us: int = T0, **changes: object
) -> Block:
    """What a reaction agent says."""
    base = Block(
        id=urn(f"{made.id}-{gateway}"),
        decision=made.id,
        gateway=gateway,
        source=made.source,
        state=state,
        since_us=at_us,
        expires_us=at_us + made.duration_s * S if state == "active" else 0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def describe(settings: Settings, role: str, node: str, process: str = "1") -> AgentDescription:
    """An agent's registration; ``process`` names its run."""
    return AgentDescription(
        id=urn(f"{role}-{node}-{process}"),
        name=settings.jid(role, node),
        role=role,
        node=node,
        services=("work",),
        ontology_version="0.1.0",
        lease_s=15,
        health="sent=12 received=30",
    )


@dataclass
class Post:
    """Where orders and archive records go; a list instead of XMPP."""

    orders: list[Order] = field(default_factory=list)
    archived: list[Record] = field(default_factory=list)

    async def send(self, orders: Sequence[Order]) -> None:
        self.orders.extend(orders)

    async def archive(self, records: Sequence[Record]) -> None:
        self.archived.extend(records)

    def take(self) -> list[Order]:
        """The orders since the last call."""
        taken, self.orders = self.orders, []
        return taken


class Clock:
    """A clock that the test turns."""

    def __init__(self, now_us: int = T0) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def turn(self, seconds: float) -> None:
        self.now_us += int(seconds * S)
