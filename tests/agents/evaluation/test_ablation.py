"""What is switched off, and what is called a change."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import IPv4Address, ip_network

import numpy as np
import pytest

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import load_model
from agents.analyzer.hybrid import HybridModel
from agents.evaluation.ablation import Knowledge, Source, Told, chosen, compare, idle, sources_of
from agents.settings.honeynet import Policy
from agents.settings.source_sections import KnownSources
from ontology.records import Decision, HostProfile, Incident
from ontology.vocabulary import IDPS
from rules.shipped_files import rule_paths, shipped_models, shipped_outcomes
from rules.signatures.parse import load_signatures

SOURCE = IPv4Address("192.0.2.7")
HOST = HostProfile(id="urn:p:1", address=IPv4Address("198.51.100.5"), roles=("Honeypot",))


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    rules = tmp_path_factory.mktemp("rules") / "one.rules"
    rules.write_text('alert tcp any any -> any 80 (msg:"x"; content:"x"; sid:1; rev:1;)\n')
    return Knowledge(
        model=load_model(),
        rule_files=rule_paths(),
        models=shipped_models(),
        outcomes=shipped_outcomes(),
        policy=Policy(allow=(ip_network("203.0.113.0/24"),)),
        hosts=(HOST,),
        sources=(
            KnownSources(kind="SharedAddress", name="x", networks=(ip_network("203.0.113.0/24"),)),
        ),
        signatures=load_signatures([rules]).signatures,
    )


def changed(before: Knowledge, after: Knowledge) -> set[str]:
    return {
        field.name
        for field in fields(Knowledge)
        if getattr(before, field.name) is not getattr(after, field.name)
        and getattr(before, field.name) != getattr(after, field.name)
    }


def test_each_source_takes_away_its_own_knowledge_and_no_other(knowledge: Knowledge) -> None:
    found = {s.name: changed(knowledge, s.without(knowledge)) for s in sources_of(knowledge)}
    assert found == {
        "clusters": {"model", "withheld"},
        "centres": {"model"},
        "network": {"model"},
        "cases": {"model"},
        "signatures": {"signatures", "withheld"},
        "hosts": {"hosts", "hosts_known"},
        "known sources": {"sources"},
        "filtration": {"policy"},
        "attack models": {"models", "rule_files"},
        "belief": {"policy", "outcomes"},
        "counting": {"withheld"},
        "correlation.owl": {"rule_files"},
        "reaction.owl": {"rule_files"},
        "scenarios.owl": {"rule_files"},
    }


def off(knowledge: Knowledge, name: str) -> Knowledge:
    (source,) = chosen(sources_of(knowledge), [name])
    return source.without(knowledge)


def test_clusters_that_are_off_say_nothing(knowledge: Knowledge) -> None:
    model = knowledge.model
    silent = off(knowledge, "clusters").model
    histogram = np.bincount([16, 17, 17], minlength=len(model.labels))
    assert model.agreement("UdpFlood", histogram) > 0 == silent.agreement("UdpFlood", histogram)
    strange = np.full((1, model.centers.shape[1]), 5.0)
    assert model.assign(strange).novel.all() and not silent.assign(strange).novel.any()
    assert IDPS.clusterName in off(knowledge, "clusters").withheld


def test_centres_by_chance_are_the_same_every_time(knowledge: Knowledge) -> None:
    first, second = (off(knowledge, "centres").model for _ in range(2))
    assert np.array_equal(first.centers, second.centers)
    assert not np.isclose(first.centers, knowledge.model.centers).all(axis=1).any()
    assert first.labels == knowledge.model.labels


def hybrid_of(model: ClusterModel) -> HybridModel:
    assert model.hybrid is not None
    return model.hybrid


def test_without_cases_the_odds_decide_alone(knowledge: Knowledge) -> None:
    whole, alone = hybrid_of(knowledge.model), hybrid_of(off(knowledge, "cases").model)
    rows = np.vstack([whole.cases[::40], np.full_like(whole.cases[:1], 3.0)])
    rarity = alone.rarity(alone.evidence(rows))
    assert (rarity[1:] == 0).all() and (rarity[0] > 0).any()
    assert np.array_equal(rarity[0], whole.rarity(whole.evidence(rows))[0])
    low, alarm, high = alone.thresholds
    assert 0 < low <= alarm < high <= np.log(whole.reference.shape[1] + 1)
    assert off(knowledge, "network").model.hybrid is None
    nothing = off(knowledge, "network")
    assert off(nothing, "cases").model.hybrid is None


def test_without_belief_every_rule_weighs_the_same(knowledge: Knowledge) -> None:
    even = off(knowledge, "belief")
    assert {outcome.weight for outcome in even.outcomes.by_rule.values()} == {1.0}
    assert even.policy.minimum_severity == 0.0
    assert even.policy.allow == knowledge.policy.allow


def test_a_source_that_is_none_is_named() -> None:
    some = [Source("a", "x", lambda k: k), Source("b", "x", lambda k: k)]
    assert chosen(some, []) == tuple(some) and chosen(some, ["b"]) == (some[1],)
    with pytest.raises(ValueError, match=r"--source 'c': no such source \(known: a, b\)"):
        chosen(some, ["c"])


def incident(severity: float = 0.9, rule: str = "ScanThenExploit") -> Incident:
    return Incident(
        id="i",
        classification="ScanThenExploitIncident",
        source=SOURCE,
        targets=(HOST.address,),
        alerts=("a",),
        rule=rule,
        begin_us=1,
        end_us=2,
        severity=severity,
        verified_source=True,
        explanation="x",
    )


def told(*incidents: Incident, decided: bool = False) -> Told:
    out = Told()
    for one in incidents:
        out.incident("set", one)
    if decided:
        order = Decision(
            id="d",
            action="block",
            source=SOURCE,
            classification="ScanThenExploitIncident",
            origin="o",
            decided_us=1,
            duration_s=60,
            reason="x",
        )
        out.decision("set", order)
    return out


def test_a_change_is_an_incident_a_decision_or_a_severity() -> None:
    whole = told(incident(), incident(rule="HoneypotProbe"), decided=True)
    other = compare("x", "how", "set", whole, told(incident(0.8), incident(rule="Else")))
    assert (other.incidents, other.incidents_lost, other.incidents_new) == (2, 1, 1)
    assert (other.decisions, other.decisions_lost, other.decisions_new) == (0, 1, 0)
    assert (other.severities_changed, other.effect) == (1, "outcomes")
    weaker = told(incident(0.8), incident(rule="HoneypotProbe"), decided=True)
    assert compare("x", "how", "set", whole, weaker).effect == "severities"
    assert compare("x", "how", "set", whole, whole).effect == "nothing"


def test_what_changes_nothing_on_any_set_is_found() -> None:
    whole = told(incident(), decided=True)
    changes = [
        compare("lost", "", "one", whole, told()),
        compare("lost", "", "two", whole, whole),
        compare("weighs", "", "one", whole, told(incident(0.5), decided=True)),
        compare("weighs", "", "two", whole, whole),
        compare("idle", "", "one", whole, whole),
    ]
    assert idle(changes) == (["idle"], ["weighs"])
    assert changes[0].as_json()["effect"] == "outcomes"
    assert replace(changes[0], incidents_lost=0, decisions_lost=0).effect == "nothing"
