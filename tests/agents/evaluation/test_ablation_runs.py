"""The running pipeline on a shipped sample, with what it knows and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.analyzer.core import load_model
from agents.evaluation.ablation import Knowledge, with_random_centers, without_rules
from agents.evaluation.ablation_runs import Reasoners, run_captures
from agents.evaluation.truths import Truth, wanted_of
from datasets.recipe.traffic import SAMPLES
from rules.shipped_files import rule_paths, shipped_models, shipped_outcomes

POT, ATTACKER = ip_address("192.0.2.80"), ip_address("192.0.2.66")


@pytest.fixture(scope="module")
def reasoners() -> Iterator[Reasoners]:
    with Reasoners() as some:
        yield some


def test_a_guess_at_a_honeypot_with_and_without_host_profiles(reasoners: Reasoners) -> None:
    knowledge = Knowledge(
        model=load_model(),
        rule_files=rule_paths(),
        models=shipped_models(),
        outcomes=shipped_outcomes(),
    )
    wanted = wanted_of("SshBruteForce")
    assert wanted
    guess = Truth(SAMPLES / "ssh-guess.pcap.xz", "SshBruteForce", wanted, ATTACKER)
    quiet = Truth(SAMPLES / "benign-mail.pcap.xz", "none", (), None)
    whole = run_captures(knowledge, [guess, quiet], reasoners, [POT])
    assert (whole.recall, whole.named, whole.false_incidents, whole.false_decisions) == (1, 1, 0, 0)
    assert any(key[1][0] == "HoneypotBruteForceIncident" for key in whole.incidents)
    assert whole.decisions and whole.seconds > 0
    blind = run_captures(replace(knowledge, hosts_known=False), [guess, quiet], reasoners, [POT])
    assert (blind.recall, blind.named, blind.decisions.total()) == (0, 1, 0)
    # Without K-Means as it was trained, an incident that is true is lost.
    chance = run_captures(with_random_centers(knowledge), [guess], reasoners, [POT])
    lost = {key[1][1] for key in whole.incidents - chance.incidents}
    assert lost == {"GuessLikeVisit"}
    # The same rules: the same Pellet.
    first = reasoners.of(rule_paths())
    assert reasoners.of(with_random_centers(knowledge).rule_files) == first
    fewer = without_rules(knowledge, "correlation.owl").rule_files
    assert [path.name for path in fewer] == ["reaction.owl", "scenarios.owl"]
