"""From what a host recorded to records, and how many of them."""

from __future__ import annotations

from ipaddress import ip_address

from agents.sensor.inputs.events import Options, host
from agents.sensor.inputs.host_sightings import (
    BUDGET,
    SPAN_US,
    Budget,
    HostSighting,
    host_of,
    make_event,
)
from ontology.fragments import decode, encode
from ontology.host_event import MAX_TEXT

HERE = host("198.51.100.18")


def seen(process: int = 1, at_us: int = 0, kind: str = "execution") -> HostSighting:
    return HostSighting(
        kind=kind,  # type: ignore[arg-type]
        key="1",
        host=HERE,
        at_us=at_us,
        process=process,
    )


def test_a_loop_hides_no_other_process() -> None:
    budget = Budget()
    admitted = sum(budget.admits(seen(process=1)) for _ in range(10_000))
    assert admitted == BUDGET["execution"] // 3
    assert budget.admits(seen(process=2))
    assert budget.admits(seen(process=1, kind="connection"))


def test_many_processes_have_one_budget_and_a_new_one_later() -> None:
    budget = Budget()
    assert sum(budget.admits(seen(process=n)) for n in range(10_000)) == BUDGET["execution"]
    assert budget.admits(seen(at_us=SPAN_US))
    assert not all(budget.admits(seen(process=n, at_us=0)) for n in range(10_000))


def test_hostile_texts_are_short_and_can_be_sent() -> None:
    text = "\ud800\x00\x1b[2J\n" * 1000
    event = make_event(seen()._replace(command_line=text, program=text, user=text), "sensor")
    assert len(event.command_line) <= MAX_TEXT
    assert event.command_line.isprintable()
    assert decode(encode([event])) == (event,)


def test_whose_log_it_is() -> None:
    six = Options(address=ip_address("2001:db8::18"))
    assert str(host_of(six).value) == "2001:db8::18"
    both = Options(address=(ip_address("198.51.100.18"), ip_address("2001:db8::18")))
    assert str(host_of(both, 6).value) == "2001:db8::18"
    assert str(host_of(both).value) == "198.51.100.18"
    assert host_of(Options()).value.is_unspecified
