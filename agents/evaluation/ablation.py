"""Ablation: each source of knowledge taken from the pipeline in turn, and what that changes.

A source is switched off by what the pipeline itself takes: a model without it, rule files without
one, settings that leave nothing to weigh, windows that don't hold its facts. What is left out of
the pipeline otherwise stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.hybrid import HybridModel
from agents.analyzer.hybrid_training import ALARM, CLEAR, SURE
from agents.settings.honeynet import Policy
from agents.settings.source_sections import KnownSources
from ontology.records import Address, Decision, HostProfile, Incident
from ontology.rule_outcomes import Outcomes
from ontology.vocabulary import IDPS
from rules.scenarios.attack_models import Models
from rules.scenarios.compile import Compiled, compile_models
from rules.shipped_files import SCENARIOS_FILE
from rules.signatures.parse import Signature

SEED = 20261130
"""Of centres by chance."""
_FAR = 1e9
"""No distance between two connections comes near it."""
_CLUSTER_FACTS: Final = frozenset({IDPS.clusterNumber, IDPS.clusterName, IDPS.clusterDistance})
_COUNTS: Final = frozenset({IDPS.touchedHoneypots, IDPS.touchedGateways})
_SIGNATURE_FACTS: Final = frozenset(
    {
        IDPS.matchedSignature,
        IDPS.signatureId,
        IDPS.cve,
        IDPS.affectedService,
        IDPS.affectedSystem,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Everything that the pipeline knows."""

    model: ClusterModel
    """Clusters, the network and its cases."""
    rule_files: tuple[Path, ...]
    """For the reasoner, beside the ontology."""
    models: Compiled
    """Attack models."""
    outcomes: Outcomes
    """What becomes of each rule's conclusions."""
    policy: Policy = field(default_factory=Policy)
    hosts: tuple[HostProfile, ...] = ()
    """Beside the honeypots of the data."""
    hosts_known: bool = True
    """False: not even which hosts are honeypots."""
    sources: tuple[KnownSources, ...] = ()
    signatures: tuple[Signature, ...] = ()
    withheld: frozenset[str] = frozenset()
    """Facts (IRIs) that windows for the reasoner don't hold."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source of knowledge, and how it is switched off."""

    name: str
    how: str
    without: Callable[[Knowledge], Knowledge]


def _withhold(knowledge: Knowledge, facts: frozenset[str]) -> Knowledge:
    return replace(knowledge, withheld=knowledge.withheld | facts)


def without_clusters(knowledge: Knowledge) -> Knowledge:
    """Clusters of no purity, which speak for nothing, and so wide that nothing is novel."""
    model = knowledge.model
    silent = replace(
        model, purity=np.zeros_like(model.purity), radius=np.full_like(model.radius, _FAR)
    )
    return _withhold(replace(knowledge, model=silent), _CLUSTER_FACTS)


def with_random_centers(knowledge: Knowledge, seed: int = SEED) -> Knowledge:
    """The same clusters around points by chance, each feature from 0 to 1 as connections' are."""
    model = knowledge.model
    centers = np.random.default_rng(seed).random(model.centers.shape)
    return replace(knowledge, model=replace(model, centers=centers))


def without_network(knowledge: Knowledge) -> Knowledge:
    """Clusters alone."""
    return replace(knowledge, model=replace(knowledge.model, hybrid=None))


def without_cases(knowledge: Knowledge) -> Knowledge:
    """The network alone: no distance to a case is rare, thresholds are those of its odds."""
    hybrid = knowledge.model.hybrid
    if hybrid is None:
        return knowledge
    return replace(knowledge, model=replace(knowledge.model, hybrid=_odds_alone(hybrid)))


def _odds_alone(hybrid: HybridModel) -> HybridModel:
    reference = hybrid.reference.copy()
    reference[1:] = _FAR
    alone = replace(hybrid, reference=reference)
    # Of the normal records kept aside: the nth has more odds than n others.
    evidence = np.vstack([hybrid.reference[0], np.zeros((2, reference.shape[1]))])
    score = alone.rarity(evidence).sum(axis=0)
    low, alarm, high = (float(np.quantile(score, 1.0 - share)) for share in (CLEAR, ALARM, SURE))
    return replace(alone, thresholds=(low, alarm, high))


def without_models(knowledge: Knowledge) -> Knowledge:
    """No attack models, and none of the rules that are made from them."""
    return replace(without_rules(knowledge, SCENARIOS_FILE), models=compile_models(Models((), {})))


def without_rules(knowledge: Knowledge, name: str) -> Knowledge:
    """All rule files but one, by its name."""
    kept = tuple(path for path in knowledge.rule_files if path.name != name)
    return replace(knowledge, rule_files=kept)


def without_belief(knowledge: Knowledge) -> Knowledge:
    """Every conclusion weighs the same, and none is too unlikely to act on."""
    policy = knowledge.policy.model_copy(update={"minimum_severity": 0.0})
    said = knowledge.outcomes
    even = Outcomes(
        {rule: replace(outcome, weight=1.0) for rule, outcome in said.by_rule.items()},
        replace(said.default, weight=1.0),
        said.softening,
    )
    return replace(knowledge, policy=policy, outcomes=even)


def sources_of(knowledge: Knowledge) -> tuple[Source, ...]:
    """Every source of this knowledge, in the order of the pipeline."""
    allowing = knowledge.policy.model_copy(update={"allow": ()})
    return (
        Source("clusters", "no purity, nothing novel, no facts of clusters", without_clusters),
        Source("centres", "K-Means centres by chance", with_random_centers),
        Source("network", "clusters without the trained network", without_network),
        Source("cases", "the network's odds alone", without_cases),
        Source(
            "signatures",
            "no rule matched, no facts of signatures",
            lambda k: _withhold(replace(k, signatures=()), _SIGNATURE_FACTS),
        ),
        Source(
            "hosts",
            "no host profile: nobody is known as honeypot",
            lambda k: replace(k, hosts=(), hosts_known=False),
        ),
        Source("known sources", "no lists of sources", lambda k: replace(k, sources=())),
        Source("filtration", "no allow-list", lambda k: replace(k, policy=allowing)),
        Source("attack models", f"no models, no {SCENARIOS_FILE}", without_models),
        Source("belief", "every weight 1, no least severity", without_belief),
        Source(
            "counting",
            "windows without counts of touched honeypots and gateways",
            lambda k: _withhold(k, _COUNTS),
        ),
        *(
            Source(path.name, "this rule file left out", partial(without_rules, name=path.name))
            for path in knowledge.rule_files
        ),
    )


IncidentKey = tuple[str, str, Address | None, tuple[Address, ...]]
DecisionKey = tuple[str, Address | None, int]


@dataclass(slots=True)
class Told:
    """What one run over one set told."""

    seconds: float = 0.0
    recall: float | None = None
    """Of the truth's attacks (captures) or related alerts (alert sets) that incidents show."""
    named: int | None = None
    """Captures whose alerts name the attack and its attacker."""
    false_incidents: int | None = None
    """Of nobody that attacks; None: the truth can't say."""
    false_decisions: int | None = None
    incidents: Counter[tuple[str, IncidentKey]] = field(default_factory=Counter)
    """By set (a capture is one), class, rule, source and targets."""
    severities: dict[tuple[str, IncidentKey], float] = field(default_factory=dict)
    decisions: Counter[tuple[str, DecisionKey]] = field(default_factory=Counter)

    def incident(self, where: str, incident: Incident) -> None:
        """One incident as it was told last."""
        key = (incident.classification, incident.rule, incident.source, incident.targets)
        self.incidents[where, key] += 1
        known = self.severities.get((where, key), 0.0)
        self.severities[where, key] = max(known, incident.severity)

    def decision(self, where: str, decision: Decision) -> None:
        """One order."""
        self.decisions[where, (decision.action, decision.source, decision.duration_s)] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one source is worth on one data set: what is different without it."""

    source: str
    how: str
    dataset: str
    recall: float | None
    named: int | None
    false_incidents: int | None
    incidents: int
    incidents_lost: int
    incidents_new: int
    severities_changed: int
    """Of the incidents that are the same otherwise."""
    decisions: int
    decisions_lost: int
    decisions_new: int
    false_decisions: int | None
    seconds: float

    @property
    def effect(self) -> str:
        """``outcomes``, ``severities`` (nothing else) or ``nothing``."""
        moved = self.incidents_lost + self.incidents_new + self.decisions_lost + self.decisions_new
        return "outcomes" if moved else "severities" if self.severities_changed else "nothing"

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"effect": self.effect}


def compare(source: str, how: str, dataset: str, whole: Told, without: Told) -> Change:
    """What a run without a source told otherwise than the run with all of them."""
    return Change(
        source=source,
        how=how,
        dataset=dataset,
        recall=without.recall,
        named=without.named,
        false_incidents=without.false_incidents,
        incidents=without.incidents.total(),
        incidents_lost=(whole.incidents - without.incidents).total(),
        incidents_new=(without.incidents - whole.incidents).total(),
        severities_changed=sum(
            round(severity - without.severities[key], 6) != 0
            for key, severity in whole.severities.items()
            if key in without.severities
        ),
        decisions=without.decisions.total(),
        decisions_lost=(whole.decisions - without.decisions).total(),
        decisions_new=(without.decisions - whole.decisions).total(),
        false_decisions=without.false_decisions,
        seconds=without.seconds,
    )


def idle(changes: Iterable[Change]) -> tuple[list[str], list[str]]:
    """Sources without which nothing changes on any set, and those that move severities only."""
    effects: dict[str, set[str]] = {}
    for change in changes:
        effects.setdefault(change.source, set()).add(change.effect)
    nothing = [name for name, seen in effects.items() if seen == {"nothing"}]
    weights = [
        name for name, seen in effects.items() if "outcomes" not in seen and "severities" in seen
    ]
    return nothing, weights


def chosen(sources: Sequence[Source], only: Sequence[str]) -> tuple[Source, ...]:
    """Those of these names; all if none is named. Raises: ValueError: there is no such source."""
    names = [source.name for source in sources]
    for name in only:
        if name not in names:
            raise ValueError(f"--source {name!r}: no such source (known: {', '.join(names)})")
    return tuple(source for source in sources if not only or source.name in only)
