from __future__ import annotations

from ipaddress import ip_address

from agents.offline.keeper import Keeper
from ontology.records import Decision

S = 1_000_000
SOURCE = ip_address("192.0.2.7")


def decision(at_s: int, length_s: int = 100) -> Decision:
    return Decision(
        id=f"urn:d:{at_s}",
        action="block",
        source=SOURCE,
        classification="CustomIncident",
        origin="test",
        decided_us=at_s * S,
        duration_s=length_s,
        reason="",
    )


def test_a_repeat_counts_once_half_of_the_block_is_over() -> None:
    keeper = Keeper()
    assert keeper.take(decision(0))
    assert not keeper.take(decision(50))
    assert keeper.take(decision(51))
    assert keeper.report(decision(51)).expires_us == 151 * S


def test_a_block_is_in_force_until_it_is_over_and_ends_once() -> None:
    keeper = Keeper()
    keeper.take(decision(0))
    report = keeper.report(decision(0))
    assert (report.state, report.source, report.expires_us) == ("active", SOURCE, 100 * S)
    assert keeper.end(99 * S) == []
    (over,) = keeper.end(100 * S)
    assert (over.state, over.source, over.gateway) == ("expired", SOURCE, report.gateway)
    assert keeper.end(200 * S) == [] and keeper.take(decision(200))
