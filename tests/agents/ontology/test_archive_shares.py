from __future__ import annotations

from ipaddress import ip_address

import pytest
from pyoxigraph import Quad, Store

from agents.ontology.archive_shares import LIMITED, SHARE, Shares
from ontology.fragments import to_triples
from ontology.records import HostEvent, ObservedData, Record
from tests.factories import make_alert

HOST = ip_address("192.0.2.7")


def event(number: int) -> HostEvent:
    return HostEvent(
        id=f"urn:uuid:00000000-0000-4000-9000-{number:012d}",
        event_kind="execution",
        host=HOST,
        begin_us=number,
        program="/home/x",
        sensor="s",
    )


def left(number: int) -> ObservedData:
    return ObservedData(
        id=f"urn:uuid:00000000-0000-4000-a000-{number:012d}",
        source=HOST,
        target=None,
        observed_port=22,
        begin_us=number,
        end_us=number,
        verified_source=True,
        sensor="s",
        input_kind="cowrie",
    )


def stored(records: list[Record]) -> Store:
    store = Store()
    store.extend([Quad(t.subject, t.predicate, t.object) for t in to_triples(records)])
    return store


def filled(*records: Record) -> Shares:
    shares = Shares((), Store())
    for record in records:
        shares.add(record.id, record)
    return shares


def test_each_kind_has_its_own_share() -> None:
    """What takes one kind's room takes nothing of the other's."""
    shares = filled(*(event(n) for n in range(9)), *(left(n) for n in range(2)))
    assert list(shares.surplus(2 * SHARE)) == [event(n).id for n in range(7)]
    shares = filled(*(event(n) for n in range(2)), *(left(n) for n in range(9)))
    assert list(shares.surplus(2 * SHARE)) == [left(n).id for n in range(7)]


@pytest.mark.parametrize("capacity", [1, SHARE - 1, SHARE])
def test_the_newest_of_a_kind_is_kept_in_the_smallest_archive(capacity: int) -> None:
    assert list(filled(event(1), event(2)).surplus(capacity)) == [event(1).id]


def test_other_kinds_have_no_limit() -> None:
    shares = filled(*(make_alert(id=f"urn:uuid:{n}") for n in range(9)))
    assert list(shares.surplus(SHARE)) == []


def test_what_is_gone_counts_no_more_and_what_came_again_is_new() -> None:
    shares = filled(event(1), event(2))
    shares.forget(event(1).id)
    shares.forget("urn:uuid:never-seen")
    assert list(shares.surplus(SHARE)) == []
    shares.add(event(1).id, event(1))
    assert list(shares.surplus(SHARE)) == [event(2).id]


def test_what_a_store_holds_is_learned_in_the_order_of_the_archive() -> None:
    records: list[Record] = [event(1), left(1), make_alert(), left(2), event(2)]
    shares = Shares([record.id for record in reversed(records)], stored(records))
    assert set(shares.surplus(SHARE)) == {event(2).id, left(2).id}


def test_a_store_may_know_records_that_the_archive_has_forgotten() -> None:
    shares = Shares([event(1).id], stored([event(1), event(2)]))
    assert list(shares.surplus(SHARE)) == []


def test_classes_are_those_that_the_records_travel_in() -> None:
    for record in (event(1), left(1)):
        assert LIMITED[type(record)] in {
            t.object.value  # type: ignore[union-attr]
            for t in to_triples([record])
            if t.predicate.value.endswith("#type")
        }
