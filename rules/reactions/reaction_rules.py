"""Reaction rules: written to and read from ``reactions.ttl``, and looked up.

They are knowledge like the rest, but no window needs them: correlation asks for the one rule that
fits a finding, so they never load the reasoner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from ontology.records import Alert, HostProfile
from ontology.taxonomy import superclasses
from ontology.vocabulary import IDPS, ONTOLOGY_IRI
from rules.reactions.policy_tables import (
    ANY,
    Asset,
    ReactionRule,
    Response,
    Service,
    TableError,
    read_tables,
)

REACTIONS_FILE = "reactions.ttl"
REACTIONS_IRI = ONTOLOGY_IRI + "/reactions"
MAX_FILE_BYTES = 64 * 1024 * 1024
_TCP_UDP = (6, 17)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The reaction rule for one finding."""

    rule: ReactionRule
    attack: str
    """Class of the alert; the rule's own class is this or the nearest superclass with a rule."""
    service: str
    """`ANY` if the port belongs to no service of the table."""
    asset: str


class Reactions:
    """Reaction rules by class of attack, service and kind of host."""

    def __init__(
        self,
        rules: Iterable[ReactionRule],
        services: Iterable[Service],
        assets: Iterable[Asset],
    ) -> None:
        self._rules = {(r.attack, r.service, r.asset): r for r in rules}
        self._ports: dict[tuple[int, int], str] = {}
        for service in services:
            for port in service.ports:
                self._ports.setdefault(port, service.name)
        self._assets = tuple(assets)
        self._unknown = next(a.name for a in self._assets if a.role == "-")

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def rules(self) -> tuple[ReactionRule, ...]:
        """In order of name."""
        return tuple(sorted(self._rules.values(), key=lambda rule: rule.name))

    @property
    def services(self) -> tuple[str, ...]:
        """Names of all services, sorted."""
        return tuple(sorted(set(self._ports.values())))

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of all kinds of hosts, in order of the table."""
        return tuple(asset.name for asset in self._assets)

    def service_of(self, port: int | None, protocol: int) -> str:
        """The service behind a port (IANA protocol number), or `ANY`."""
        if port is None or protocol not in _TCP_UDP:
            return ANY
        return self._ports.get((port, protocol), ANY)

    def service(self, alert: Alert) -> str:
        """The service that an alert is about; empty if no row names it."""
        name = self.service_of(alert.target_port, alert.protocol)
        return "" if name == ANY else name

    def asset_of(self, host: HostProfile | None) -> str:
        """The first row of the table that agrees with what is known of a host."""
        if host is not None:
            for asset in self._assets:
                fits = asset.role == "*" or asset.role in host.roles
                if fits and host.asset_value >= asset.value:
                    return asset.name
        return self._unknown

    def find(self, attack: str, service: str, asset: str) -> ReactionRule:
        """The most special rule: the nearest class of attack first, then the service over any.

        Raises: KeyError if not even Attack has a rule for this kind of host.
        """
        for name in (attack, *superclasses(attack), "Attack"):
            for known in (service, ANY):
                rule = self._rules.get((name, known, asset))
                if rule is not None:
                    return rule
        raise KeyError(f"no reaction rule for {attack} {service} {asset}")

    def choose(self, alert: Alert, host: HostProfile | None) -> Chosen:
        """The rule for an alert about a host."""
        service = self.service_of(alert.target_port, alert.protocol)
        asset = self.asset_of(host)
        attack = alert.classification
        return Chosen(self.find(attack, service, asset), attack, service, asset)


def reactions_path() -> Path:
    """Where the shipped ``reactions.ttl`` and its tables stand."""
    with as_file(files("rules").joinpath(REACTIONS_FILE)) as path:
        return path


@cache
def shipped_reactions() -> Reactions:
    """The shipped rules; read once (about 0.1 s).

    Raises: TableError (a ValueError), OSError.
    """
    return read_reactions(reactions_path())


def read_reactions(path: Path) -> Reactions:
    """Rules from a file, services and assets from the tables next to it.

    Raises: TableError (a ValueError), OSError.
    """
    tables = read_tables(path.parent)
    with path.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise TableError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    found: dict[str, dict[str, str]] = {}
    try:
        for quad in parse(data, format=RdfFormat.TURTLE):
            if isinstance(quad.subject, NamedNode) and isinstance(quad.object, Literal):
                values = found.setdefault(quad.subject.value, {})
                values[quad.predicate.value] = quad.object.value
    except SyntaxError as e:
        raise TableError(f"{path}: not Turtle: {' '.join(str(e).split())}") from e
    rules = []
    for iri, values in found.items():
        if IDPS.onAttackClass not in values:
            continue  # the ontology's own header
        try:
            rules.append(
                ReactionRule(
                    values[IDPS.onAttackClass],
                    values[IDPS.onService],
                    values[IDPS.onAssetClass],
                    Response(
                        values[IDPS.response],
                        Decimal(values[IDPS.durationFactor]),
                        values[IDPS.d3fendId],
                        values[IDPS.responseReason],
                        values.get(IDPS.advice, ""),
                    ),
                )
            )
        except (KeyError, ArithmeticError) as e:
            raise TableError(f"{path}: {iri}: no usable value of {e}") from e
    if not rules:
        raise TableError(f"{path}: no ReactionRule in it")
    return Reactions(rules, tables.services.values(), tables.assets.values())


def reactions_ttl(rules: Iterable[ReactionRule]) -> str:
    """All rules as individuals of class ``ReactionRule``; the same text for the same rules."""
    lines = [
        "# Written by `ontoidps rules compile` from the tables reaction_*.tsv. Do not edit.",
        f"@prefix : <{REACTIONS_IRI}#> .",
        f"@prefix i: <{ONTOLOGY_IRI}#> .",
        "@prefix owl: <http://www.w3.org/2002/07/owl#> .",
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .",
        "",
        f"<{REACTIONS_IRI}> a owl:Ontology ; owl:imports <{ONTOLOGY_IRI}> ; "
        f"owl:versionIRI <{REACTIONS_IRI}/1.0.0> ;",
        '  rdfs:label "OntoIDPS reaction rules"@en ; owl:versionInfo "1.0.0" .',
        "",
    ]
    for rule in rules:
        said = rule.response
        advice = f" ; i:advice {_quoted(said.advice)}" if said.advice else ""
        lines += [
            f":{rule.name} a owl:NamedIndividual , i:ReactionRule ;",
            f"  i:onAttackClass {_quoted(rule.attack)} ; i:onService {_quoted(rule.service)} ; "
            f"i:onAssetClass {_quoted(rule.asset)} ;",
            f"  i:response {_quoted(said.response)} ; i:durationFactor {_decimal(said.factor)} ; "
            f"i:d3fendId {_quoted(said.d3fend)} ;",
            f"  i:responseReason {_quoted(said.reason)}{advice} .",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return str(Literal(text))


def _decimal(value: Decimal) -> str:
    text = format(value, "f")
    return text if "." in text else text + ".0"
