from __future__ import annotations

from ipaddress import ip_address

import pytest

from agents.correlation.measures import Measures
from ontology.records import Block, BlockState

SOURCE = ip_address("192.0.2.7")


def report(state: BlockState, gateway: str = "gw1", *, number: int = 0, until: int = 100) -> Block:
    return Block(
        id="urn:b",
        decision="urn:d",
        gateway=gateway,
        source=SOURCE + number,
        state=state,
        since_us=0,
        expires_us=until,
    )


def test_a_measure_is_in_force_while_one_gateway_says_so() -> None:
    measures = Measures()
    assert measures.take(report("pending")) is None and SOURCE not in measures
    assert measures.take(report("active")) == "begun"
    assert measures.take(report("active", "gw2")) is None
    assert measures.take(report("waiting")) is measures.take(report("shadow", "gw2")) is None
    assert measures.take(report("lifted")) is None and SOURCE in measures
    assert measures.take(report("expired", "gw2")) == "ended" and SOURCE not in measures


@pytest.mark.parametrize("state", ["refused", "failed", "lifted", "expired"])
def test_what_never_began_does_not_end(state: BlockState) -> None:
    assert Measures().take(report(state)) is None


def test_a_measure_ends_by_its_time_though_nobody_says_so() -> None:
    measures = Measures()
    measures.take(report("active", until=100))
    measures.take(report("active", "gw2", until=200))
    assert measures.end(150) == [] and SOURCE in measures
    assert measures.end(200) == [SOURCE] and measures.end(300) == []


def test_the_measure_reported_longest_ago_is_forgotten_first() -> None:
    measures = Measures(capacity=2)
    for number in (0, 1, 0, 2):
        measures.take(report("active", number=number))
    assert SOURCE in measures and SOURCE + 1 not in measures
