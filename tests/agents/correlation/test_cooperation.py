"""What a cell makes of the decisions of others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from agents.base.protected import Protected
from agents.correlation.cooperation import (
    AGAIN_US,
    ALONE_S,
    MAX_ALERTS,
    MAX_JUDGED,
    MAX_SOURCES,
    Cooperation,
    Publication,
    publications,
)
from agents.settings.honeynet import Policy
from ontology.records import Address, Alert, Block, BlockState, Decision, Incident

S = 1_000_000
NOW_US = 1_790_000_000 * S
OWN, FIRST, SECOND = (f"correlation.gw{n}@honeynet.test" for n in (1, 2, 3))
ATTACKER = ip_address("192.0.2.7")


def publication(
    cell: str = FIRST, source: Address = ATTACKER, *, at_s: int = 0, length_s: int = 3600
) -> Publication:
    alert = Alert(
        id=f"urn:a:{cell}:{source}",
        classification="SqlInjection",
        source=source,
        target=ip_address("203.0.113.20"),
        protocol=6,
        begin_us=NOW_US,
        end_us=NOW_US,
        confidence=0.9,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
    )
    incident = Incident(
        id=f"urn:i:{cell}:{source}",
        classification="HoneypotExploitIncident",
        source=source,
        targets=(),
        alerts=(alert.id,),
        rule="HoneypotExploit",
        begin_us=NOW_US,
        end_us=NOW_US,
        severity=0.9,
        verified_source=True,
        explanation="",
    )
    decision = Decision(
        id=f"urn:d:{cell}:{source}:{at_s}",
        action="block",
        source=source,
        target=alert.target,
        classification=incident.classification,
        incident=incident.id,
        origin=cell,
        decided_us=NOW_US + at_s * S,
        duration_s=length_s,
        reason="Because.",
    )
    return Publication(cell, decision, incident, (alert,))


def cooperation(**policy: object) -> tuple[Cooperation, Counter[str]]:
    counters = Counter[str]()
    protected = Protected([ip_network("198.51.100.0/24")])
    made = Cooperation(OWN, (FIRST, SECOND), Policy.model_validate(policy), protected, counters)
    return made, counters


def accept(
    core: Cooperation, one: Publication, at_s: float = 0, *, seen: bool = False
) -> Decision | None:
    """As the shell does it, where the rules find the evidence good."""
    now = NOW_US + int(at_s * S)
    assert core.refusal(one, now) is None
    return core.accept(one, {a.id for a in one.alerts}, now, seen=seen)


def test_the_word_of_one_cell_is_good_for_a_minute() -> None:
    core, _ = cooperation()
    order = accept(core, publication())
    assert order is not None and order.duration_s == ALONE_S
    assert (order.scope, order.origin, order.source) == ("cooperative", OWN, ATTACKER)
    assert order.decided_us == NOW_US and order.incident == publication().decision.incident
    assert FIRST in order.reason and "alone says so" in order.reason and "Because." in order.reason


@pytest.mark.parametrize("by", ["rule", "classification"])
def test_what_a_mode_holds_back_is_not_done_on_others_word_either(by: str) -> None:
    one = publication()
    assert one.incident is not None
    core, _ = cooperation(modes={getattr(one.incident, by): "approve"})
    assert "mode approve of " in str(core.refusal(one, NOW_US))
    other, _ = cooperation(modes={"Another": "shadow"})
    assert other.refusal(one, NOW_US) is None


def test_the_same_word_again_and_again_lengthens_nothing() -> None:
    core, counters = cooperation()
    assert accept(core, publication()) is not None
    assert accept(core, publication()) is None
    for at_s in (30, 61, 599):
        assert accept(core, publication(at_s=at_s), at_s) is None
    assert counters["cooperation_alone"] == 4
    again = accept(core, publication(at_s=600), AGAIN_US / S)
    assert again is not None and again.duration_s == ALONE_S


@pytest.mark.parametrize("how", ["own alert before", "own alert after", "cell", "supervisor"])
def test_what_somebody_confirms_counts_in_full(how: str) -> None:
    core, _ = cooperation()
    if how == "own alert before":
        order = accept(core, publication(), 0, seen=True)
        at_s = 0
    else:
        alone, at_s = accept(core, publication()), 10
        assert alone is not None
        if how == "cell":
            order = accept(core, publication(SECOND, length_s=100), at_s)
        elif how == "supervisor":
            order = core.on_ruling(ruling(publication().decision.id), how, NOW_US + at_s * S)
        else:
            order = core.confirm(ATTACKER, how, NOW_US + at_s * S)
        # Another id: to a gateway one decision has one length.
        assert order is not None and order.id != alone.id
    assert order is not None and order.duration_s == 3600 - at_s
    assert order.scope == "cooperative" and "confirmed by" in order.reason
    # Once is enough.
    assert core.confirm(ATTACKER, "somebody", NOW_US + 20 * S) is None


def ruling(decision: str, state: BlockState = "active") -> Block:
    return Block(
        id="urn:b",
        decision=decision,
        gateway="*",
        source=ATTACKER,
        state=state,
        since_us=NOW_US,
        expires_us=NOW_US + 3600 * S,
    )


def test_the_echo_of_its_own_order_confirms_nothing() -> None:
    """The supervisor adopts what gateways report, and tells of it."""
    core, _ = cooperation()
    order = accept(core, publication())
    assert order is not None
    assert core.on_ruling(ruling(order.id), "supervisor", NOW_US + S) is None
    theirs = publication().decision.id
    assert core.on_ruling(ruling(theirs, "lifted"), "supervisor", NOW_US + S) is None
    assert core.on_ruling(ruling(theirs), "supervisor", NOW_US + S) is not None


def test_a_source_of_which_nobody_spoke_is_nothing_to_confirm() -> None:
    core, _ = cooperation()
    assert core.confirm(ATTACKER, "own evidence", NOW_US) is None
    accept(core, publication(length_s=30))
    assert core.confirm(ATTACKER, "own evidence", NOW_US + 30 * S) is None


def test_a_short_block_stays_short_and_a_long_one_is_cut_to_the_policy() -> None:
    core, _ = cooperation(maximum_duration=900, block_duration=900)
    short = accept(core, publication(length_s=30))
    assert short is not None and short.duration_s == 30
    other = accept(core, publication(SECOND, ATTACKER + 1), seen=True)
    assert other is not None and other.duration_s == 900


def test_clocks_that_are_ahead_lengthen_nothing() -> None:
    core, _ = cooperation()
    order = accept(core, publication(at_s=10_000, length_s=100), seen=True)
    assert order is not None and order.duration_s == 100
    late = publication(SECOND, length_s=100)
    assert core.refusal(late, NOW_US + 100 * S) == "its time is over"
    order = accept(core, publication(SECOND, ATTACKER + 1, length_s=100), 40, seen=True)
    assert order is not None and order.duration_s == 60


def test_evidence_that_does_not_convince_the_own_rules_blocks_nobody() -> None:
    core, counters = cooperation()
    one = publication()
    assert core.accept(one, set(), NOW_US, seen=False) is None
    assert core.accept(one, {"urn:some:other"}, NOW_US, seen=True) is None
    assert counters["cooperation_not_convinced"] == 2
    # Nor is it a word that somebody could confirm.
    assert core.confirm(ATTACKER, "own evidence", NOW_US) is None


def bad(**changes: dict[str, object]) -> Publication:
    one = publication()
    assert one.incident is not None
    return Publication(
        str(changes.get("cell", {}).get("name", one.cell)),
        replace(one.decision, **changes.get("decision", {})),  # type: ignore[arg-type]
        replace(one.incident, **changes.get("incident", {})),  # type: ignore[arg-type]
        tuple(replace(a, **changes.get("alert", {})) for a in one.alerts),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (bad(cell={"name": "correlation.gw9@honeynet.test"}), "no other cell"),
        (bad(decision={"origin": SECOND}), "not the cell's own decision"),
        (bad(decision={"scope": "cooperative"}), "not the cell's own decision"),
        (bad(decision={"action": "unblock", "duration_s": 0}), "no block"),
        (replace(publication(), incident=None), "incident is missing"),
        (bad(incident={"severity": 0.49}), "severity 0.49, at least 0.50"),
        (bad(decision={"source": ip_address("198.51.100.5")}), "allow-list"),
        (bad(decision={"source": ip_address("::ffff:198.51.100.5")}), "allow-list"),
        (replace(publication(), alerts=()), "no alert"),
        (bad(alert={"verified_source": False}), "no alert"),
        (bad(alert={"source": ATTACKER + 1}), "no alert"),
        (bad(alert={"id": "urn:of:another:incident"}), "no alert"),
        (replace(publication(), alerts=publication().alerts * (MAX_ALERTS + 1)), "65 alerts"),
        (bad(incident={"alerts": ("urn:a> <b",)}, alert={"id": "urn:a> <b"}), "IRI"),
    ],
)
def test_what_is_not_worth_a_look(one: Publication, why: str) -> None:
    core, _ = cooperation()
    refusal = core.refusal(one, NOW_US)
    assert refusal is not None and why in refusal


def test_an_ipv4_mapped_source_is_the_same_source() -> None:
    core, _ = cooperation()
    accept(core, publication(source=ip_address("::ffff:192.0.2.7")))
    assert accept(core, publication(SECOND), 1) is not None
    assert core.confirm(ATTACKER, "supervisor", NOW_US + S) is None


def test_a_cell_that_talks_too_much_is_heard_so_often_and_no_other_suffers() -> None:
    core, _ = cooperation()
    for number in range(MAX_JUDGED):
        assert core.refusal(publication(source=ATTACKER + number), NOW_US) is None
    assert core.refusal(publication(), NOW_US) == "too many in a minute"
    assert core.refusal(publication(SECOND), NOW_US) is None
    assert core.refusal(publication(at_s=60), NOW_US + 60 * S) is None


def test_memory_is_bounded_per_cell() -> None:
    core, _ = cooperation()
    for number in range(MAX_SOURCES + 1):
        one = publication(source=ATTACKER + number)
        core.accept(one, {a.id for a in one.alerts}, NOW_US, seen=False)
    assert core.confirm(ATTACKER, "supervisor", NOW_US) is None
    assert core.confirm(ATTACKER + 1, "supervisor", NOW_US) is not None


def test_what_was_lifted_is_not_confirmed_by_words_from_before() -> None:
    core, _ = cooperation()
    accept(core, publication())
    core.ended(ATTACKER)
    assert core.confirm(ATTACKER, "own evidence", NOW_US + S) is None


def test_a_message_with_several_decisions_is_several_publications() -> None:
    one, other = publication(), publication(source=ATTACKER + 1)
    both = publications(
        FIRST, [one.decision, other.decision, one.incident, *one.alerts, *other.alerts]
    )
    assert [(p.decision, p.incident) for p in both] == [
        (one.decision, one.incident),
        (other.decision, None),
    ]
    assert both[0].evidence == one.alerts
