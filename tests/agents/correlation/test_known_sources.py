"""What is known of a source softens what follows, and does no longer once it is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.known_sources import NOTHING, KnownSourcesJudge, SourceTable
from agents.correlation.outcome import Outcome
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from agents.settings.source_sections import KnownSources
from ontology.chainer.joins import Joins
from ontology.reasoner.client import PelletWorker
from ontology.records import Alert, HostProfile
from ontology.rule_outcomes import Outcomes, Softening
from rules.shipped_files import shipped_outcomes

S = 1_000_000
T0 = 1_790_000_000 * S
SOURCE = ip_address("192.0.2.7")
POT = ip_address("198.51.100.5")
HOSTS = [HostProfile(id="urn:ontoidps:profile:pot", address=POT, roles=("Honeypot",))]


def alert(number: int, kind: str, at_s: float = 0, *, target: str = str(POT)) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification=kind,
        source=SOURCE,
        target=ip_address(target),
        target_port=22,
        protocol=6,
        begin_us=T0 + int(at_s * S),
        end_us=T0 + int(at_s * S) + S,
        confidence=0.5,
        verified_source=True,
        sensor="gw1",
        analyzer="gw1",
        explanation="",
    )


def known(kind: str, *networks: str, name: str = "Censys") -> KnownSources:
    return KnownSources.model_validate({"kind": kind, "name": name, "networks": networks})


def judge(*lists: KnownSources, remembered: Sequence[Alert] = ()) -> KnownSourcesJudge:
    return KnownSourcesJudge(SourceTable(lists), lambda host: remembered)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("192.0.2.7", ["a", "b"]),
        ("::ffff:192.0.2.7", ["a", "b"]),
        ("192.0.2.8", ["a"]),
        ("192.0.3.7", []),
        ("2001:db8::1", ["c"]),
        ("2001:db9::1", []),
    ],
)
def test_a_source_is_found_on_every_list_that_has_it(address: str, names: list[str]) -> None:
    table = SourceTable(
        [
            known("ResearchScanner", "192.0.2.0/24", "192.0.2.7", name="a"),
            known("SharedAddress", "192.0.2.7", name="b"),
            known("SharedAddress", "2001:db8::/32", "::ffff:198.51.100.0/120", name="c"),
        ]
    )
    assert [entry.name for entry in table.of(ip_address(address))] == names


def test_windows_hold_what_is_known_of_a_source() -> None:
    table = SourceTable([known("SharedAddress", "192.0.2.0/24")])
    found = table.with_sources({POT: HOSTS[0]}, [alert(1, "SynScan")])
    assert found[SOURCE].roles == ("SharedAddress",) and found[POT] == HOSTS[0]
    none: dict[object, object] = {}
    assert SourceTable().with_sources(none, [alert(1, "SynScan")]) is none  # type: ignore[arg-type,comparison-overlap]


def test_of_two_things_known_the_mildest_counts() -> None:
    both = judge(known("ResearchScanner", "192.0.2.7"), known("SharedAddress", "192.0.2.7"))
    soft = both.soften(SOURCE, [alert(1, "SshBruteForce")], shipped_outcomes())
    assert (soft.factor, soft.at_most_s, soft.may_block) == (0.6, 900, True)
    assert soft.why == (
        "192.0.2.7 is a ResearchScanner (Censys): no block lasts longer than 3600 s, "
        "severity times 0.6.",
        "192.0.2.7 is a SharedAddress (Censys): no block lasts longer than 900 s, "
        "severity times 0.8.",
    )


def test_the_ontology_in_force_says_what_is_softened() -> None:
    outcomes = replace(
        shipped_outcomes(), softening={"KnownSource": Softening(0.5, may_block=False)}
    )
    soft = judge(known("SharedAddress", "192.0.2.7")).soften(SOURCE, [], outcomes)
    assert (soft.factor, soft.may_block) == (0.5, False) and "no block follows" in soft.why[0]
    nothing = replace(outcomes, softening={})
    assert judge(known("SharedAddress", "192.0.2.7")).soften(SOURCE, [], nothing) is NOTHING


def test_who_only_searches_is_a_scanner_until_it_does_something_else() -> None:
    scans = [alert(n, "SynScan", target=f"198.51.100.{n}") for n in range(1, 9)]
    outcomes = shipped_outcomes()
    soft = judge(remembered=scans).soften(SOURCE, scans[:1], outcomes)
    assert soft.at_most_s == 86_400 and "PureScanner (by its behaviour)" in soft.why[0]
    assert judge(remembered=scans[:7]).soften(SOURCE, scans[:1], outcomes) is NOTHING
    more = [*scans, alert(9, "SshBruteForce")]
    assert judge(remembered=more).soften(SOURCE, scans[:1], outcomes) is NOTHING
    # What others did to it is not its own doing.
    other = replace(alert(9, "SshBruteForce"), source=POT, target=SOURCE)
    assert judge(remembered=[*scans, other]).soften(SOURCE, scans[:1], outcomes) == soft


def engine(
    worker: PelletWorker, joins: Joins, *sources: KnownSources, outcomes: Outcomes | None = None
) -> CorrelationEngine:
    return CorrelationEngine(
        HOSTS,
        Policy(),
        origin="correlation@test",
        reasoner=worker,
        joins=joins,
        sources=sources,
        outcomes=outcomes,
    )


GUESS = [alert(1, "SynScan"), alert(2, "SshBruteForce", 60)]


def one(out: list[Outcome], rule: str) -> Outcome:
    (found,) = (outcome for outcome in out if outcome.incident.rule == rule)
    return found


def case(out: list[Outcome]) -> Outcome:
    return [one for one in out if one.incident.classification == "ScenarioIncident"][-1]


def test_each_fact_changes_the_outcome_and_its_absence_changes_it_back(
    worker: PelletWorker,
) -> None:
    joins = find_joins(worker.theory)
    plain = one(engine(worker, joins).on_alerts(GUESS, T0), "ScanThenBruteForce")
    assert plain.decisions and plain.decisions[0].duration_s == 3600
    shared = known("SharedAddress", "192.0.2.0/24", name="carrier NAT")
    soft = one(engine(worker, joins, shared).on_alerts(GUESS, T0), "ScanThenBruteForce")
    assert soft.incident.severity == pytest.approx(plain.incident.severity * 0.8)
    assert soft.decisions[0].duration_s == 900
    line = "192.0.2.7 is a SharedAddress (carrier NAT): no block lasts longer than 900 s"
    assert line in soft.incident.explanation and line in soft.decisions[0].reason
    assert line not in plain.incident.explanation
    scanner = known("ResearchScanner", "192.0.2.7")
    mild = one(engine(worker, joins, scanner).on_alerts(GUESS, T0), "ScanThenBruteForce")
    # 0.6 times 0.68 is not enough for a block.
    assert mild.incident.severity < 0.5 and not mild.decisions
    other = known("ResearchScanner", "192.0.2.8")
    same = one(engine(worker, joins, other).on_alerts(GUESS, T0), "ScanThenBruteForce")
    assert same == plain


def test_a_case_is_as_severe_as_its_least_softened_source(worker: PelletWorker) -> None:
    joins = find_joins(worker.theory)
    steps = [
        alert(1, "TelnetBruteForce"),
        replace(alert(2, "MalwareInstallation", 60), verified_source=False),
        replace(alert(3, "OutgoingScan", 120), source=POT, target=ip_address("203.0.113.9")),
    ]
    before = engine(worker, joins).on_alerts(steps, T0)
    shared = known("SharedAddress", "192.0.2.7")
    after = engine(worker, joins, shared).on_alerts(steps, T0)
    plain, soft = case(before), case(after)
    # The honeypot that attacks others is no shared address: the case is as severe as before.
    assert soft.incident.severity == plain.incident.severity
    assert {d.duration_s for o in after for d in o.decisions} == {900}
    assert min(d.duration_s for o in before for d in o.decisions) >= 3600
    assert "is a SharedAddress" in soft.incident.explanation
