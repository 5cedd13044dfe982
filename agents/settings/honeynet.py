"""One frozen `Settings`, read once from ``honeynet.toml``; contradictions are refused here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Network,
    ip_address,
)
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from agents.settings.fields import (
    AllowedNetwork,
    Domain,
    Host,
    Listen,
    Name,
    Part,
    Port,
    Priority,
    Seconds,
)
from agents.settings.host_sections import Honeypot
from agents.settings.node_sections import Input as Input
from agents.settings.node_sections import Node as Node
from ontology.addresses import canonical, canonical_network, purpose
from ontology.records import Address, HostProfile, Network, Role

# What pydantic says in Python's words, in the file's.
_WORDS = {
    "extra_forbidden": "there is no such key",
    "missing": "is missing",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "path_type": "must be a path",
}


class SettingsError(ValueError):
    """honeynet.toml can't be used; the message is one line naming file, key and value."""


class Xmpp(Part):
    """How agents reach the XMPP server."""

    embedded: bool = True
    """True: the launcher of ``node`` starts a Prosody. False: a server you run (ejabberd)."""
    node: Name | None = None
    """Node whose launcher runs the embedded server; the first node by default."""
    host: Host = "127.0.0.1"
    port: Port = 5223
    """Direct TLS (XEP-0368); STARTTLS is never used, it can be stripped."""
    ca: Path | None = None
    """CA certificate of a server you run; the embedded one makes its own."""


class Console(Part):
    """The console's REST API and web page."""

    listen: Listen = "127.0.0.1:8080"
    """``HOST:PORT`` on loopback, or ``unix:PATH``."""


class Policy(Part):
    """What reaction may do, and for how long."""

    block_duration: Seconds = 3600
    maximum_duration: Seconds = 7 * 86400
    allow: tuple[AllowedNetwork, ...] = ()
    """Never blocked: accepted in the kernel before the drop, and refused by the reaction agent."""
    maximum_blocks_per_minute: int = Field(default=600, gt=0)
    minimum_severity: float = Field(default=0.5, ge=0, le=1)
    """Incidents below this severity are shown, not acted on."""
    dry_run: bool = False
    """True: decide and report, but never touch the kernel."""
    paper_rules: bool = False
    """True: the rules of ``rules/paper.owl`` are in force as well (docs/rules.md)."""
    reliability: Literal["windowed", "paper"] = "windowed"
    """How reliability is counted (`agents.correlation.assessment.MODES`)."""
    minimum_risk: float = Field(default=1.0, ge=0, le=10)
    """Least risk at which the paper's rules want a block; OSSIM raises an alarm at 1."""
    sensor_priority: dict[str, Priority] = Field(default_factory=dict)
    """The paper's PS of the sensor of a node, 0 to 5."""
    default_sensor_priority: Priority = 3

    @model_validator(mode="after")
    def _check(self) -> Policy:
        if self.block_duration > self.maximum_duration:
            raise ValueError(
                f"block_duration ({self.block_duration} s) is longer than maximum_duration "
                f"({self.maximum_duration} s)"
            )
        return self


class Analysis(Part):
    """How the analyzers judge traffic."""

    follow_drift: bool = False
    """True: clusters of normal traffic follow it as it changes, within bounds (docs/training.md).
    Off unless asked for: only without it does the same traffic always get the same answer."""


class Settings(Part):
    """The whole of ``honeynet.toml``."""

    name: Name = "honeynet"
    domain: Domain = "honeynet.localdomain"
    """XMPP domain of all agents."""
    state_dir: Path
    """Keys, outboxes, archive, run files. Made with mode 0700."""
    message_log_mib: int = Field(default=8, ge=0, le=1024)
    """MiB of its last messages that each agent keeps for ``ontoidps messages``; 0: none."""
    xmpp: Xmpp = Xmpp()
    console: Console = Console()
    policy: Policy = Policy()
    analyzer: Analysis = Analysis()
    node: tuple[Node, ...] = Field(min_length=1)
    honeypot: tuple[Honeypot, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Settings:
        names = [n.name for n in self.node]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two nodes are named {name!r}")
        for name in self.policy.sensor_priority.keys() - set(names):
            raise ValueError(f"policy.sensor_priority: there is no node {name!r}")
        if not self.jids("correlation"):
            raise ValueError("no node runs a correlation agent, at least one must")
        if not self.jids("ontology"):
            raise ValueError("no node runs an ontology agent, at least one must")
        if len(self.jids("supervisor")) > 1:
            raise ValueError("several nodes run a supervisor agent, one may")
        if len(self.jids("console")) > 1:
            raise ValueError("at most one node may run the console agent")
        self._check_addresses()
        for pot in self.honeypot:
            if pot.node not in names:
                raise ValueError(f"honeypot {pot.address} names unknown node {pot.node!r}")
        if self.xmpp.node is not None and self.xmpp.node not in names:
            raise ValueError(f"xmpp.node names unknown node {self.xmpp.node!r}")
        if not self.xmpp.embedded and self.xmpp.ca is None:
            raise ValueError("xmpp.embedded is false, so xmpp.ca must name the server's CA")
        if not self._on_one_host():
            for node in self.node:
                if not node.addresses:
                    raise ValueError(
                        f"node {node.name!r} has no addresses; they are needed, or gateways "
                        "could be told to block it"
                    )
        return self

    def _check_addresses(self) -> None:
        """Raises: ValueError: an address of no host, of two hosts, or of a host and the
        allow-list."""
        allowed = [canonical_network(network) for network in self.allow_networks()]
        owners: dict[Address, str] = {}
        for node in self.node:
            for given in node.addresses:
                address = canonical(given)
                what = f"node {node.name!r}"
                _check_host_address(what, address)
                if owners.setdefault(address, what) != what:
                    raise ValueError(f"{owners[address]} and {what} have the address {given}")
        for pot in self.honeypot:
            address = canonical(pot.address)
            _check_host_address("a honeypot", address)
            if owners.get(address) == "a honeypot":
                raise ValueError(f"two honeypots have the address {pot.address}")
            if any(address in network for network in allowed):
                raise ValueError(f"honeypot {address} is on the allow-list")
            owners[address] = "a honeypot"

    def _on_one_host(self) -> bool:
        """Whether nobody but this host can reach the XMPP server."""
        server = _literal(self.xmpp.host)
        return self.xmpp.host == "localhost" or (server is not None and server.is_loopback)

    def jid(self, role: Role, node: str) -> str:
        """Bare JID of an agent, e.g. ``sensor.gw1@honeynet.localdomain``."""
        return f"{role}.{node}@{self.domain}"

    def agents(self) -> Iterator[tuple[Role, str]]:
        """(role, node) of every agent of the honeynet."""
        for node in self.node:
            for role in node.agents:
                yield role, node.name

    def jids(self, role: Role) -> tuple[str, ...]:
        """Every agent of one role, in file order."""
        return tuple(self.jid(r, n) for r, n in self.agents() if r == role)

    def correlation_of(self, node: str) -> str:
        """Bare JID of the correlation agent that serves a node: its own, or the first one."""
        own = self.jid("correlation", node)
        every = self.jids("correlation")
        return own if own in every else every[0]

    def analyzers_of(self, node: str) -> tuple[str, ...]:
        """The analyzers that the correlation agent of a node serves, in file order."""
        served = self.jid("correlation", node)
        return tuple(
            self.jid(role, name)
            for role, name in self.agents()
            if role == "analyzer" and self.correlation_of(name) == served
        )

    def node_named(self, name: str) -> Node:
        """Raises: SettingsError if there is none."""
        for node in self.node:
            if node.name == name:
                return node
        known = ", ".join(n.name for n in self.node)
        raise SettingsError(f"no node is named {name!r} (known: {known})")

    def addresses_of(self, name: str) -> tuple[frozenset[Address], frozenset[Address]]:
        """(addresses of a node and of the honeypots that it watches, those of all other nodes)."""
        own: set[Address] = set()
        others: set[Address] = set()
        for node in self.node:
            (own if node.name == name else others).update(map(canonical, node.addresses))
        for pot in self.honeypot:
            (own if pot.node == name else others).add(canonical(pot.address))
        return frozenset(own), frozenset(others - own)

    @property
    def server_node(self) -> str:
        """Node whose launcher runs the embedded XMPP server."""
        return self.xmpp.node or self.node[0].name

    def allow_networks(self) -> tuple[Network, ...]:
        """The allow-list, every node's own addresses and the XMPP server's, as networks."""
        out: list[Network] = list(self.policy.allow)
        for node in self.node:
            out.extend(_as_network(address) for address in node.addresses)
        server = _literal(self.xmpp.host)
        if server is not None and not server.is_loopback:
            out.append(_as_network(server))
        return tuple(dict.fromkeys(out))

    def host_profiles(self) -> tuple[HostProfile, ...]:
        """What the file says of hosts, as records for the knowledge base."""
        return (
            *(pot.profile(pot.address, role="Honeypot", node=pot.node) for pot in self.honeypot),
            *(
                node.host.profile(
                    address,
                    role="Gateway" if "reaction" in node.agents else "ProtectedHost",
                    node=node.name,
                    agents=tuple(sorted(self.jid(role, node.name) for role in node.agents)),
                )
                for node in self.node
                for address in node.addresses
            ),
        )


def _check_host_address(what: str, address: Address) -> None:
    if not address.is_loopback and (kind := purpose(address)) is not None:
        raise ValueError(f"{what} can't have the address {address}: it is {kind}, no host's")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _as_network(entry: Address) -> Network:
    return IPv4Network(entry) if isinstance(entry, IPv4Address) else IPv6Network(entry)


def load_settings(path: Path) -> Settings:
    """Read and check a honeynet file; relative paths in it are relative to it.

    Raises:
        SettingsError: one line with the file, the key and what is wrong with its value.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(f"{path}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise SettingsError(f"{path}: not TOML: {e}") from e
    try:
        data.setdefault("state_dir", "state")
        settings = Settings.model_validate(data)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        # Numbers count from 0 here; names in brackets are pydantic's own, of a union's members.
        where = ".".join(str(p) for p in first["loc"] if "[" not in str(p)) or "file"
        message = _WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
        value = "" if isinstance(first["input"], dict) else f" (got {first['input']!r})"
        raise SettingsError(f"{path}: {where}: {message}{value}") from e
    base = path.resolve().parent
    update: dict[str, object] = {"state_dir": base / settings.state_dir}
    if any(node.inputs or node.signatures or node.captures for node in settings.node):
        update["node"] = tuple(
            node.model_copy(
                update={
                    "inputs": tuple(
                        i.model_copy(update={"path": base / i.path}) for i in node.inputs
                    ),
                    "signatures": tuple(base / path for path in node.signatures),
                    "captures": tuple(base / path for path in node.captures),
                }
            )
            for node in settings.node
        )
    if settings.xmpp.ca is not None:
        update["xmpp"] = settings.xmpp.model_copy(update={"ca": base / settings.xmpp.ca})
    return settings.model_copy(update=update)
