"""What is known of sources besides what they did: scanners of researchers, shared addresses.

Who they are comes from lists that the operator loads (``[[source]]`` of ``honeynet.toml``) and from
how they behave; what that softens, the ontology says (`ontology.rule_outcomes.Softening`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.settings.source_sections import KnownSources
from ontology.addresses import canonical, canonical_network
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert, HostProfile
from ontology.rule_outcomes import Outcomes, Softening
from ontology.taxonomy import superclasses
from ontology.vocabulary import IDPS

SCAN: Final = IDPS.Scan.local_name
PURE_SCANNER: Final = IDPS.PureScanner.local_name
PURE_TARGETS: Final = 8
"""Targets from which on a source that only searches is a `PURE_SCANNER`."""
About = Callable[[Address], Iterable[Alert]]


@dataclass(frozen=True, slots=True)
class Soft:
    """What is softened of one source's deeds, or of a case."""

    factor: float = 1.0
    """Severity is multiplied by it."""
    at_most_s: int | None = None
    may_block: bool = True
    why: tuple[str, ...] = ()
    """A line for each thing that is known."""


NOTHING: Final = Soft()


class SourceTable:
    """Lists of addresses, looked up by the length of the prefix."""

    def __init__(self, lists: Sequence[KnownSources] = ()) -> None:
        self._lists = lists
        self._by_length: dict[tuple[int, int], dict[int, list[int]]] = {}
        """(IP version, bits behind the prefix) → prefix → numbers of lists."""
        for number, entry in enumerate(lists):
            for given in entry.networks:
                network = canonical_network(given)
                shift = network.max_prefixlen - network.prefixlen
                prefixes = self._by_length.setdefault((network.version, shift), {})
                found = prefixes.setdefault(int(network.network_address) >> shift, [])
                if number not in found:
                    found.append(number)

    def of(self, address: Address) -> tuple[KnownSources, ...]:
        """The lists that an address is on, in file order."""
        if not self._by_length:
            return ()
        plain = canonical(address)
        found: set[int] = set()
        for (version, shift), prefixes in self._by_length.items():
            if version == plain.version:
                found.update(prefixes.get(int(plain) >> shift, ()))
        return tuple(self._lists[number] for number in sorted(found))

    def with_sources(
        self, hosts: Mapping[Address, HostProfile], alerts: Iterable[Alert]
    ) -> Mapping[Address, HostProfile]:
        """What is known of hosts, and of the sources of these alerts: for their window."""
        if not self._by_length:
            return hosts
        more: dict[Address, HostProfile] = {}
        for alert in alerts:
            for source in alert_hosts(alert)[0]:
                kinds = {entry.kind for entry in self.of(source)}
                if kinds and source not in hosts:
                    more[source] = HostProfile(
                        id=f"urn:ontoidps:profile:{source}",
                        address=source,
                        roles=tuple(sorted(kinds)),
                    )
        return {**hosts, **more} if more else hosts


class KnownSourcesJudge:
    """Says what is softened.

    Args:
        table: what the operator's lists say.
        about: remembered alerts that name a host.
    """

    def __init__(self, table: SourceTable, about: About) -> None:
        self._table = table
        self._about = about

    def soften(self, source: Address | None, alerts: Sequence[Alert], outcomes: Outcomes) -> Soft:
        """For what a source did; of several things that are known, the mildest counts.

        Args:
            alerts: what it did now.
            outcomes: of the ontology in force.
        """
        if source is None:
            return NOTHING
        kinds = {entry.kind: entry.name for entry in self._table.of(source)}
        softening = outcomes.softening
        if PURE_SCANNER in softening and self._only_searches(source, alerts):
            kinds.setdefault(PURE_SCANNER, "by its behaviour")
        known = [
            (kind, name, soft) for kind, name in kinds.items() if (soft := _of(kind, softening))
        ]
        if not known:
            return NOTHING
        limits = [soft.at_most_s for _, _, soft in known if soft.at_most_s is not None]
        return Soft(
            factor=min(soft.factor for _, _, soft in known),
            at_most_s=min(limits, default=None),
            may_block=all(soft.may_block for _, _, soft in known),
            why=tuple(
                f"{source} is a {kind} ({name}): {_words(soft)}." for kind, name, soft in known
            ),
        )

    def soften_case(
        self, alerts: Sequence[Alert], outcomes: Outcomes
    ) -> tuple[float, dict[Address, Soft]]:
        """(what the severity of a case is multiplied by, what is softened of each source).

        A case is as severe as what its least softened source did.
        """
        by_source: dict[Address, list[Alert]] = {}
        for alert in alerts:
            if alert.source is not None:
                by_source.setdefault(alert.source, []).append(alert)
        found = {source: self.soften(source, done, outcomes) for source, done in by_source.items()}
        return max((soft.factor for soft in found.values()), default=1.0), found

    def _only_searches(self, source: Address, alerts: Sequence[Alert]) -> bool:
        if not alerts or not all(map(_is_scan, alerts)):
            return False
        targets: set[Address] = set()
        many = 0
        for alert in (*alerts, *self._about(source)):
            sources, hosts = alert_hosts(alert)
            if source not in sources:
                continue
            if not _is_scan(alert):
                return False
            targets |= hosts
            many = max(many, alert.target_count)
        return max(len(targets), many) >= PURE_TARGETS


def _is_scan(alert: Alert) -> bool:
    name = alert.classification
    return name == SCAN or SCAN in superclasses(name)


def _of(kind: str, softening: Mapping[str, Softening]) -> Softening | None:
    """Of the class, or of the nearest one above."""
    return next((softening[n] for n in (kind, *superclasses(kind)) if n in softening), None)


def _words(soft: Softening) -> str:
    said = []
    if not soft.may_block:
        said.append("no block follows")
    elif soft.at_most_s is not None:
        said.append(f"no block lasts longer than {soft.at_most_s} s")
    if soft.factor != 1.0:
        said.append(f"severity times {soft.factor:g}")
    return ", ".join(said) or "nothing is softened"
