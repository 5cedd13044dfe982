"""A supervisor without messages: real ledger, directory and console; orders are kept in a list."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
from fastapi import FastAPI

from agents.console.app import create_app
from agents.console.sessions import Credentials, open_credentials
from agents.settings.honeynet import Settings
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import ConsoleService
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
                    + (["supervisor", "correlation", "ontology"] if name == "gw1" else []),
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


@pytest.fixture
def kit() -> SimpleNamespace:
    """The makers above, for test modules (which can't import a conftest)."""
    return SimpleNamespace(
        S=S,
        T0=T0,
        GATEWAYS=GATEWAYS,
        urn=urn,
        decision=decision,
        evidence=evidence,
        report=report,
        describe=describe,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def service(settings: Settings, ledger: Ledger, clock: Clock, post: Post) -> ConsoleService:
    return ConsoleService(settings, ledger, clock=clock, send=post.send, archive=post.archive)


@pytest.fixture(scope="session")
def secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users ``operator`` and ``viewer``, made once: hashing is slow on purpose."""
    path = tmp_path_factory.mktemp("secrets")
    made = open_credentials(path)
    made.users.set("operator", "operator pass", "operator")
    made.users.set("viewer", "viewer pass", "viewer")
    return path


@pytest.fixture
def credentials(tmp_path: Path, secrets_dir: Path) -> Credentials:
    shutil.copytree(secrets_dir, tmp_path, dirs_exist_ok=True)
    return open_credentials(tmp_path)


@pytest.fixture
def app(service: ConsoleService, credentials: Credentials) -> FastAPI:
    return create_app(service, credentials)


Browser = Callable[[], httpx.AsyncClient]


@pytest.fixture
def browser(app: FastAPI) -> Browser:
    """Makes clients that ask the application without a network."""

    def make() -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1:8080",
            headers={"Origin": "http://127.0.0.1:8080"},
        )

    return make
