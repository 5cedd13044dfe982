"""One frozen `Settings`, read once from ``honeynet.toml``; contradictions are refused here."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Network,
    ip_address,
)
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, model_validator

from agents.idmef.foreign_reports import Origin
from agents.settings.fields import (
    AllowedNetwork,
    Domain,
    Flag,
    Host,
    HostName,
    Listen,
    Name,
    Part,
    Port,
    Priority,
    Seconds,
    Whole,
)
from agents.settings.host_sections import Honeypot
from agents.settings.manager_sections import Manager
from agents.settings.modes import Mode, Modes
from agents.settings.node_sections import Input as Input
from agents.settings.node_sections import Node as Node
from agents.settings.problems import Gathered, Problem, Source, did_you_mean, read_source, validate
from agents.settings.problems import SettingsError as SettingsError
from agents.settings.source_sections import KnownSources
from agents.settings.toml_lines import Place
from ontology.addresses import canonical, canonical_network, purpose
from ontology.records import Address, HostProfile, Network, Role


class Xmpp(Part):
    """How agents reach the XMPP server."""

    embedded: Flag = True
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
    ban_length: Literal[
        "fixed",
        "interval-squared",
        "interval-squared-half",
        "interval-threshold",
        "static-24h",
        "persistence",
    ] = "fixed"
    """What the length of a block is made from, before the factor of its reaction rule: ``fixed`` is
    ``block_duration``, the others follow how often the source came (docs/bans.md)."""
    allow: tuple[AllowedNetwork, ...] = ()
    """Never blocked: accepted in the kernel before the drop, and refused by the reaction agent."""
    allow_hosts: tuple[HostName, ...] = Field(default=(), max_length=50)
    """Never blocked either: host names, each looked up by every gateway again and again."""
    maximum_blocks_per_minute: Whole = Field(default=600, gt=0)
    minimum_severity: float = Field(default=0.5, ge=0, le=1)
    """Incidents below this severity are shown, not acted on."""
    dry_run: Flag = False
    """True: decide and report, but never touch the kernel."""
    modes: dict[str, Mode] = Field(default_factory=dict)
    """Of classes of incidents and of rules, by label: what is not ``enforce`` (docs/modes.md)."""
    lift_grace: Seconds = 600
    """How long what a person lifted or vetoed is not blocked again for the same class of incidents,
    unless they say otherwise."""
    approval_time: Seconds = 3600
    """How long a decision in mode ``approve`` waits for a person."""
    paper_rules: Flag = False
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

    follow_drift: Flag = False
    """True: clusters of normal traffic follow it as it changes, within bounds (docs/training.md).
    Off unless asked for: only without it does the same traffic always get the same answer."""


class Settings(Part):
    """The whole of ``honeynet.toml``."""

    name: Name = "honeynet"
    domain: Domain = "honeynet.localdomain"
    """XMPP domain of all agents."""
    state_dir: Path
    """Keys, outboxes, archive, run files. Made with mode 0700."""
    users_from: Whole | None = Field(default=None, ge=1000, le=(1 << 31) - 5000)
    """First of 4096 user and group ids for the agents of this host, when root starts them; by
    default they follow from ``state_dir`` and lie where nobody else's do."""
    message_log_mib: Whole = Field(default=8, ge=0, le=1024)
    """MiB of its last messages that each agent keeps for ``ontoidps messages``; 0: none."""
    xmpp: Xmpp = Xmpp()
    console: Console = Console()
    policy: Policy = Policy()
    analyzer: Analysis = Analysis()
    node: tuple[Node, ...] = Field(min_length=1)
    honeypot: tuple[Honeypot, ...] = ()
    source: tuple[KnownSources, ...] = ()
    """Addresses of others of which something is known (docs/rules.md)."""
    manager: tuple[Manager, ...] = ()
    """Managers of others, whose alerts are taken in (docs/idmef.md)."""

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Settings:
        Gathered.take(
            info.context,
            self,
            [
                *self._wrong_names(),
                *self._wrong_managers(),
                *self._wrong_agents(),
                *self._wrong_addresses(),
                *self._server(),
            ],
        )
        return self

    def _wrong_names(self) -> Iterator[Problem]:
        names = [n.name for n in self.node]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Problem(("node", number, "name"), f"two nodes are named {name!r}")
        for name in self.policy.sensor_priority.keys() - set(names):
            yield Problem(
                ("policy", "sensor_priority", name),
                f"there is no node {name!r}{did_you_mean(name, names)}",
            )
        for number, pot in enumerate(self.honeypot):
            if pot.node not in names:
                yield Problem(
                    ("honeypot", number, "node"),
                    f"honeypot {pot.address} names unknown node {pot.node!r}"
                    f"{did_you_mean(pot.node, names)}",
                )
        if self.xmpp.node is not None and self.xmpp.node not in names:
            yield Problem(
                ("xmpp", "node"),
                f"names unknown node {self.xmpp.node!r}{did_you_mean(self.xmpp.node, names)}",
            )

    def _wrong_managers(self) -> Iterator[Problem]:
        names = [manager.name for manager in self.manager]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Problem(("manager", number, "name"), f"two managers are named {name!r}")
        for number, node in enumerate(self.node):
            for item, entry in enumerate(node.inputs):
                if entry.manager is not None and entry.manager not in names:
                    yield Problem(
                        ("node", number, "inputs", item),
                        f"there is no manager {entry.manager!r}"
                        f"{did_you_mean(entry.manager, names)}",
                    )

    def _wrong_agents(self) -> Iterator[Problem]:
        for role in ("correlation", "ontology"):
            if not self.jids(role):
                article = "a" if role == "correlation" else "an"
                yield Problem((), f"no node runs {article} {role} agent, at least one must")
        for role, words in (
            ("supervisor", "several nodes run a supervisor agent, one may"),
            ("console", "at most one node may run the console agent"),
        ):
            running = [n for n, node in enumerate(self.node) if role in node.agents]
            if len(running) > 1:
                yield Problem(("node", running[1], "agents"), words)

    def _wrong_addresses(self) -> Iterator[Problem]:
        """An address of no host, of two hosts, or of a host and the allow-list."""
        allowed = [canonical_network(network) for network in self.allow_networks()]
        owners: dict[Address, str] = {}
        for number, node in enumerate(self.node):
            for item, given in enumerate(node.addresses):
                place: Place = ("node", number, "addresses", item)
                address, what = canonical(given), f"node {node.name!r}"
                yield from _of_no_host(place, what, address)
                if owners.setdefault(address, what) != what:
                    text = f"{owners[address]} and {what} have the address {given}"
                    yield Problem(place, text)
        for number, pot in enumerate(self.honeypot):
            place = ("honeypot", number, "address")
            address = canonical(pot.address)
            yield from _of_no_host(place, "a honeypot", address)
            if owners.get(address) == "a honeypot":
                yield Problem(place, f"two honeypots have the address {pot.address}")
            if any(address in network for network in allowed):
                yield Problem(place, f"honeypot {address} is on the allow-list")
            owners[address] = "a honeypot"

    def _server(self) -> Iterator[Problem]:
        if not self.xmpp.embedded and self.xmpp.ca is None:
            yield Problem(
                ("xmpp", "embedded"),
                "xmpp.embedded is false, so xmpp.ca must name the server's CA",
            )
        if self._on_one_host():
            return
        for number, node in enumerate(self.node):
            if not node.addresses:
                yield Problem(
                    ("node", number),
                    f"node {node.name!r} has no addresses; they are needed, or gateways could be "
                    "told to block it",
                )
        server = _literal(self.xmpp.host)
        host = next((n for n in self.node if n.name == self.server_node), None)
        if not self.xmpp.embedded or server is None or host is None or not host.addresses:
            return
        server = canonical(server)
        if server not in map(canonical, host.addresses):
            other = next((n.name for n in self.node if server in map(canonical, n.addresses)), "")
            whose = f"it is one of node {other!r}" if other else "no node has it"
            yield Problem(
                ("xmpp", "host"),
                f"{server} is not an address of node {host.name!r}, which runs the XMPP server: "
                f"{whose}",
            )

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

    def modes(self) -> Modes:
        """Of the gateways, classes and rules."""
        return Modes({n.name: n.mode for n in self.node}, self.policy.modes)

    def node_named(self, name: str) -> Node:
        """Raises: SettingsError if there is none."""
        for node in self.node:
            if node.name == name:
                return node
        known = ", ".join(n.name for n in self.node)
        raise SettingsError(f"no node is named {name!r} (known: {known})")

    def manager_of(self, entry: Input) -> Origin | None:
        """Whose alerts an input holds, if the file says it."""
        return next((m.origin() for m in self.manager if m.name == entry.manager), None)

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


def _of_no_host(place: Place, what: str, address: Address) -> Iterator[Problem]:
    if not address.is_loopback and (kind := purpose(address)) is not None:
        yield Problem(place, f"{what} can't have the address {address}: it is {kind}, no host's")


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
        SettingsError: one line with the file, the line, the thing and what is wrong with it.
    """
    return read_settings(path)[0]


def read_settings(path: Path) -> tuple[Settings, Source]:
    """`load_settings`, and where in the file what stands. Raises: SettingsError."""
    source = read_source(path)
    source.data.setdefault("state_dir", "state")
    settings = validate(Settings, source)
    base = path.resolve().parent
    update: dict[str, object] = {"state_dir": base / settings.state_dir}
    if any(node.inputs or node.signatures or node.captures for node in settings.node):
        update["node"] = tuple(
            node.model_copy(
                update={
                    "inputs": tuple(
                        i.model_copy(
                            update={"path": base / i.path, "table": i.table and base / i.table}
                        )
                        for i in node.inputs
                    ),
                    "signatures": tuple(base / path for path in node.signatures),
                    "captures": tuple(base / path for path in node.captures),
                }
            )
            for node in settings.node
        )
    if settings.source:
        update["source"] = tuple(entry.read(base) for entry in settings.source)
    if settings.manager:
        update["manager"] = tuple(
            m.model_copy(update={"key_file": m.key_file and base / m.key_file})
            for m in settings.manager
        )
    if settings.xmpp.ca is not None:
        update["xmpp"] = settings.xmpp.model_copy(update={"ca": base / settings.xmpp.ca})
    return settings.model_copy(update=update), source
