"""Conditions that SWRL can't say, over what is remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.correlation.step_checks import StepChecks, not_sure
from ontology.records import Alert
from rules.scenarios.attack_models import Condition, Model, Models, Predicate, Term
from rules.scenarios.compile import Compiled, compile_models
from tests.agents.correlation.story_table import NAMES, alerts_of

A = Term("A", "attacker", "source")
H = Term("H", "host", "target")
WARNED = Predicate("warned", ("host",))
REACH = Predicate("remote-access", ("attacker", "host"), capability=True)


def action(name: str, evidence: str, pre: list[Condition], post: list[Condition]) -> Model:
    return Model(
        name=name,
        kind="action",
        comment="",
        pre=tuple(pre),
        post=tuple(post),
        evidence=(evidence,),
        scenarios=("s",),
    )


ANNOUNCE = action("announce", "RpcProbe", [Condition(REACH, (A, H))], [Condition(WARNED, (H,))])
WITHDRAW = action(
    "withdraw", "AckScan", [Condition(REACH, (A, H))], [Condition(WARNED, (H,), negated=True)]
)
QUIET = action(
    "attack-unannounced",
    "SqlInjection",
    [Condition(WARNED, (H,), negated=True)],
    [Condition(Predicate("taken", ("host",)), (H,))],
)


def compiled() -> Compiled:
    return compile_models(Models((ANNOUNCE, QUIET, WITHDRAW), {"s": ("S", "")}))


def fits(text: str) -> bool:
    """Can the last alert be the step that needs that nobody warned?"""
    alerts = alerts_of(text)
    checks = StepChecks(
        compiled(),
        lambda address: False,
        lambda host: [a for a in alerts if host in (a.source, a.target)],
    )
    return checks.fits(QUIET, alerts[-1])


@pytest.mark.parametrize(
    ("holds", "before"),
    [
        (True, ""),
        (False, "0 RpcProbe B>T\n"),
        (True, "0 RpcProbe B>U\n"),
        (True, "0 SynScan B>T\n"),
        (True, "90 RpcProbe B>T\n"),
        (True, "0 RpcProbe B>T\n10 AckScan B>T\n"),
        (False, "0 RpcProbe B>T\n10 AckScan B>T\n20 RpcProbe C>T\n"),
    ],
)
def test_what_must_not_hold_is_looked_up_in_what_came_before(holds: bool, before: str) -> None:
    assert fits(before + "60 SqlInjection A>T") is holds


def test_roles_ports_and_vulnerabilities_are_looked_at() -> None:
    (one,) = alerts_of("0 OutgoingBruteForce T>U:22")
    own = Condition(Predicate("own-host", ("host",)), (replace(H, bound_to="source"),))
    model = replace(QUIET, evidence=("OutgoingAttack", "SshBruteForce"), pre=(own,))
    strict = StepChecks(compiled(), lambda address: False, lambda host: ())
    assert strict.fits(model, one), "the sensor calls only own hosts' attacks outgoing"
    guess = replace(one, classification="SshBruteForce")
    assert not strict.fits(model, guess)
    known = StepChecks(compiled(), lambda a: NAMES[a] == "T", lambda host: ())
    assert known.fits(model, guess)
    on_redis = replace(model, ports=("6379/tcp",))
    assert not known.fits(on_redis, guess)
    assert known.fits(on_redis, replace(guess, target_port=6379))
    assert not known.fits(on_redis, replace(guess, target_port=6379, protocol=17))
    untold: Alert = replace(guess, target_port=None)
    assert known.fits(on_redis, untold) and "6379/tcp" in not_sure(on_redis, untold)
    nameless = Condition(Predicate("unnamed-source", ("host",)), (H,))
    by_log = replace(QUIET, evidence=("SshBruteForce",), pre=(nameless,))
    assert not known.fits(by_log, guess)
    assert known.fits(by_log, replace(guess, source=None))
    named = replace(model, cves=("CVE-2021-44228",))
    assert known.fits(named, replace(guess, cves=("CVE-2021-44228",)))
    assert not known.fits(named, replace(guess, cves=("CVE-2014-6271",)))
    assert not known.fits(named, guess)
