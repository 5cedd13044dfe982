"""Reliability and risk of what correlation reports, and the counts that the paper's rules need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from agents.correlation.assessment import MODES, Rating, reliability, risk
from agents.correlation.known_sources import SourceTable
from agents.correlation.memory import AlertMemory
from agents.correlation.touch_counts import count_touches, touching
from agents.settings.honeynet import Policy
from ontology.chainer.joins import Joins
from ontology.reasoner.paper_facts import Counts, with_counts
from ontology.reasoner.window import Window, alert_hosts, build_window
from ontology.records import Address, Alert, HostProfile, Incident
from ontology.vocabulary import Term
from rules.reactions.reaction_rules import Reactions

_ROUNDING = 1e-6


class Rater:
    """Rates by what is remembered now.

    Args:
        policy: mode of reliability, priorities of sensors, whether the paper's rules are in force.
        hosts: asset values; a host that nobody described is worth nothing.
        reactions: say which service a port is of.
        reads: what rules in force read (`Theory.reads`).
        sources: what is known of sources, for windows.
        joins: which alerts can meet in those rules, and whether the risk of all of them is asked
            for; None if that is not known.
    """

    def __init__(
        self,
        policy: Policy,
        hosts: Mapping[Address, HostProfile],
        memory: AlertMemory,
        reactions: Reactions,
        reads: Set[str] = frozenset(),
        sources: SourceTable | None = None,
        joins: Joins | None = None,
    ) -> None:
        self._sources = SourceTable() if sources is None else sources
        self._policy = policy
        self._hosts = hosts
        self._memory = memory
        self._mode = MODES[policy.reliability]
        self._reactions = reactions
        self._reads = reads
        self._joins = joins

    def set_hosts(self, hosts: Mapping[Address, HostProfile]) -> None:
        """Other knowledge of hosts, from the next window on."""
        self._hosts = hosts

    def set_rules(self, reactions: Reactions, reads: Set[str], joins: Joins | None) -> None:
        """Other rules, from the next window on."""
        self._reactions, self._reads, self._joins = reactions, reads, joins

    def window(self, alerts: Sequence[Alert]) -> Window:
        """The window of these alerts: what rules read, and counts where those of the paper want
        them.

        Raises: ValueError if an id or a class name can't be written as an IRI.
        """
        hosts = self._sources.with_sources(self._hosts, alerts)
        window = build_window(alerts, hosts, self._reads, self._reactions.service, self._touched)
        if not self._policy.paper_rules:
            return window
        counts = Counts(
            host_alerts=self._memory.count_from,
            system_alerts=len(self._memory),
            added=self._mode.added,
            support=self._mode.support,
            sensor_priority=self._priority,
            minimum_risk=self._policy.minimum_risk,
        )
        rated = [a for a in alerts if self._rates_all() or self.riskiest(a) is not None]
        return with_counts(window, alerts, rated, self._hosts, counts)

    def riskiest(self, alert: Alert) -> tuple[Address, Address] | None:
        """Source and target of an alert whose risk reaches ``minimum_risk``; None if it doesn't, or
        nobody asks.

        So that only these bring counts into windows, and no other alert goes to the reasoner for
        its risk alone.
        """
        if not self._policy.paper_rules:
            return None
        sources, targets = alert_hosts(alert)
        values = {t: self._hosts[t].asset_value for t in targets if t in self._hosts}
        if not (sources and values):
            return None
        source = max(sources, key=self._memory.count_from)
        # Pellet divides decimals, which differ in the last digits.
        enough = self._policy.minimum_risk - _ROUNDING
        rating = self._rate(alert)
        return (source, max(values, key=values.__getitem__)) if rating.risk >= enough else None

    def _rates_all(self) -> bool:
        return self._joins is None or self._joins.rates_all

    def touching(self, source: Address) -> list[Alert]:
        """The alerts that are counted of a source at honeypots."""
        return touching(self._memory.verified_from(source), self._is_honeypot)

    def _touched(self, source: Address) -> Mapping[Term, int]:
        return count_touches(self._memory.verified_from(source), self._is_honeypot)

    def _is_honeypot(self, host: Address) -> bool:
        return "Honeypot" in self.roles(host)

    def roles(self, host: Address) -> tuple[str, ...]:
        """What is said of a host (local names of classes)."""
        profile = self._hosts.get(host)
        return () if profile is None else profile.roles

    def rate(self, alerts: Iterable[Alert]) -> Rating:
        """The highest risk among alerts that an incident rests on: at least one."""
        return max((self._rate(alert) for alert in alerts), key=lambda r: (r.risk, r.reliability))

    def with_rating(self, incident: Incident, alerts: Iterable[Alert]) -> Incident:
        """The incident with its rating as the last line of its explanation."""
        return replace(incident, explanation=f"{incident.explanation}\n{self.rate(alerts)}")

    def _rate(self, alert: Alert) -> Rating:
        sources, targets = alert_hosts(alert)
        from_host = max((self._memory.count_from(source) for source in sources), default=0)
        trust = reliability(from_host, len(self._memory), self._mode)
        known = [self._hosts[target] for target in targets if target in self._hosts]
        value = max((host.asset_value for host in known), default=0)
        priority = self._priority(alert.sensor)
        return Rating(trust, risk(value, priority, trust), value, priority)

    def _priority(self, sensor: str) -> int:
        node = sensor.removeprefix("sensor.").partition("@")[0]
        return self._policy.sensor_priority.get(node, self._policy.default_sensor_priority)
