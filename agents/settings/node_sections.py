"""What ``honeynet.toml`` says of a node and of the logs that its sensor follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from agents import plugins
from agents.settings.fields import Flag, HostAddress, Interface, Name, Part, Whole
from agents.settings.host_sections import NodeHost
from agents.settings.modes import Mode
from agents.settings.problems import Gathered, Problem, did_you_mean
from ontology.records import Role

Side = Literal["outside", "inside", "tap"]


def _as_several(value: object) -> object:
    """One address needs no brackets."""
    return value if isinstance(value, list | tuple) else (value,)


class Input(Part):
    """A log of another tool that the node's sensor follows (docs/inputs.md)."""

    kind: str
    """Name of an entry point of the group ``ontoidps.inputs``."""
    path: Path
    """A file on the node; it need not exist yet."""
    address: Annotated[tuple[HostAddress, ...], BeforeValidator(_as_several)] = ()
    """The honeypot's own address, where its log knows only the one behind address translation; two
    if it has one of each family."""
    timezone: str = "UTC"
    """Of time stamps that name none, e.g. ``Europe/Berlin``."""
    from_start: Flag = False
    """True: what the file holds at the very first start counts as well."""
    relays: tuple[HostAddress, ...] = ()
    """Reverse proxies and load balancers of our own, by which strangers come: nothing in the log
    accuses them, whatever it says of them."""
    table: Path | None = None
    """For the kind ``table``: the file that describes the format."""
    manager: Name | None = None
    """For the kind ``idmef``: whose alerts these are, one of the file's ``[[manager]]``."""

    @model_validator(mode="after")
    def _check(self) -> Input:
        plugins.check_known(plugins.INPUTS, [self.kind])
        if (self.kind == "table") != (self.table is not None):
            raise ValueError("table names the file that describes the format, of kind table only")
        if self.manager is not None and self.kind != "idmef":
            raise ValueError("manager says whose alerts an input of kind idmef holds, of no other")
        if len({address.version for address in self.address}) < len(self.address):
            raise ValueError("address: one of each family, not two of one")
        if set(self.relays) & set(self.address):
            raise ValueError("relays: who wrote the log is none; name who stands before it")
        try:
            self.zone()
        except (ValueError, OSError, KeyError) as e:  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"no time zone is called {self.timezone!r}") from e
        return self

    def zone(self) -> tzinfo:
        """The zone of ``timezone``; UTC needs no time zone database on the host."""
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


class Node(Part):
    """One host of the honeynet, and the agents it runs."""

    name: Name
    agents: tuple[Role, ...]
    interfaces: tuple[Interface, ...] = ()
    """Where the sensor captures."""
    sides: dict[Interface, Side] = Field(default_factory=dict)
    """Where an interface looks: ``outside``, to strangers (what is not named here); ``inside``, to
    the honeypots; ``tap``, a mirror port or splitter of the wire inside (docs/capture.md)."""
    capture_filter: str = ""
    """pcap filter expression, compiled into the kernel's BPF."""
    capture_workers: Whole = Field(default=1, ge=1, le=16)
    """Rings that share each interface's packets by connection (docs/capture.md)."""
    capture_ring_mib: Whole = Field(default=16, ge=1, le=1024)
    """Of each ring, in the kernel's memory: how long a burst may be before packets are lost."""
    one_sided: bool = False
    """The sensor sees one direction of connections only (asymmetric routing, a tap of one fibre):
    no source that it reports is ever verified (docs/capture.md)."""
    tunnels: tuple[HostAddress, ...] = ()
    """Where mirrors and tunnels of our own begin (GRE, VXLAN …): what they carry counts as if it
    came by itself. In all others it is reported and never verified (docs/capture.md)."""
    nflog: tuple[Annotated[Whole, Field(ge=0, le=65535)], ...] = ()
    """Groups to which netfilter logs packets: ``nft … log group 5``."""
    captures: tuple[Path, ...] = ()
    """pcap or pcapng files that another program is writing."""
    inputs: tuple[Input, ...] = ()
    """Logs that the sensor follows."""
    signatures: tuple[Path, ...] = ()
    """Snort or Suricata rules, or folders of them, that the sensor matches on what it captures."""
    signature_variables: dict[str, str] = Field(default_factory=dict)
    """What ``$HOME_NET`` and the others stand for in them (docs/signatures.md)."""
    detectors: tuple[str, ...] | None = None
    """What looks for attacks in connections; by default all that OntoIDPS brings."""
    responders: tuple[str, ...] = ("nftables",)
    """What carries out blocks: the first one's word counts, the others assist."""
    mode: Mode = "enforce"
    """Whether its gateway carries out what agents decide (`agents.settings.modes`)."""
    addresses: tuple[HostAddress, ...] = ()
    """The node's own addresses: never blocked, by any gateway."""
    host: NodeHost = NodeHost()
    """What is known of the machine; its roles and agents are known anyway."""

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Node:
        Gathered.take(info.context, self, [*self._contradictions()])
        return self

    def _contradictions(self) -> Iterator[Problem]:
        agents = self.agents
        if not agents:
            yield Problem(("agents",), f"node {self.name!r} runs no agents")
        if len(set(agents)) != len(agents):
            yield Problem(("agents",), f"node {self.name!r} lists an agent twice")
        if "sensor" in agents:
            if not any((self.interfaces, self.inputs, self.nflog, self.captures)):
                yield Problem(
                    ("agents",),
                    f"node {self.name!r} has a sensor but no interfaces, nflog, captures or inputs",
                )
            if "analyzer" not in agents:
                yield Problem(
                    ("agents",), f"node {self.name!r} has a sensor but no analyzer beside it"
                )
        elif self.inputs:
            yield Problem(("inputs",), f"node {self.name!r} has inputs but no sensor to read them")
        elif self.nflog or self.captures:
            yield Problem(
                ("nflog" if self.nflog else "captures",),
                f"node {self.name!r} has nflog or captures but no sensor to read them",
            )
        if self.mode != "enforce" and "reaction" not in agents:
            yield Problem(
                ("mode",), f"node {self.name!r} has a mode but no reaction agent: it blocks nobody"
            )
        yield from self._of_plugins()
        for key in ("interfaces", "nflog", "captures", "tunnels"):
            if len(set(getattr(self, key))) != len(getattr(self, key)):
                yield Problem((key,), f"node {self.name!r} lists one of its {key} twice")
        if len({i.path for i in self.inputs}) != len(self.inputs):
            yield Problem(("inputs",), f"node {self.name!r} lists an input's path twice")
        for name in self.sides.keys() - set(self.interfaces) if not self.nflog else ():
            yield Problem(
                ("sides", name),
                f"sides names {name!r}, which is not among its interfaces"
                + did_you_mean(name, self.interfaces),
            )
        if self.signatures and not (self.interfaces or self.nflog or self.captures):
            yield Problem(
                ("signatures",),
                f"node {self.name!r} has signatures but no interfaces, nflog or captures to match "
                "them on",
            )

    def _of_plugins(self) -> Iterator[Problem]:
        name = self.name
        for key, kind, role in (
            ("detectors", plugins.DETECTORS, "analyzer"),
            ("responders", plugins.RESPONDERS, "reaction"),
        ):
            named: tuple[str, ...] | None = getattr(self, key)
            if named is None or (key == "responders" and named == ("nftables",)):
                continue
            try:
                plugins.check_known(kind, named)
            except ValueError as e:
                yield Problem((key,), str(e))
            if key == "detectors" and role not in self.agents:
                yield Problem(
                    (key,), f"node {name!r} names detectors but has no analyzer to run them"
                )
            if key == "responders" and (role not in self.agents or not named):
                yield Problem(
                    (key,), f"node {name!r}: responders need a reaction agent, and it one"
                )

    def side(self, interface: str) -> Side:
        """Where an interface looks. What is not said is taken for the side that proves least;
        on ``lo`` nobody but this host can send."""
        return self.sides.get(interface, "tap" if interface == "lo" else "outside")
