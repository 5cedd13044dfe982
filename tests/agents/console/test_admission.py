from __future__ import annotations

import random

import pytest

from agents.console.admission import (
    PER_ADDRESS,
    REMEMBERED,
    STRANGERS,
    TRUSTED,
    Admission,
)


class Guest:
    def __init__(self, name: str = "", waits: bool = True) -> None:
        self.name, self.waits = name, waits


def test_one_address_has_its_part_and_its_oldest_makes_room() -> None:
    admission = Admission()
    flood = [Guest(str(n)) for n in range(PER_ADDRESS)]
    assert all(admission.enter(guest, "127.0.0.1") is None for guest in flood)
    other = Guest()
    assert admission.enter(other, "127.0.0.2") is None
    assert admission.enter(Guest(), "127.0.0.1") is flood[0]
    flood[1].waits = False  # it is being answered
    assert admission.enter(Guest(), "127.0.0.1") is flood[2]
    assert admission.strangers == PER_ADDRESS + 1


def test_many_addresses_share_the_rest_and_who_has_most_makes_room() -> None:
    admission = Admission()
    greedy = [Guest() for _ in range(PER_ADDRESS)]
    for guest in greedy:
        admission.enter(guest, "127.0.0.1")
    single = [Guest() for _ in range(STRANGERS - PER_ADDRESS)]
    for number, guest in enumerate(single):
        assert admission.enter(guest, f"127.1.0.{number}") is None
    assert admission.enter(Guest(), "127.2.0.1") is greedy[0]
    for guest in greedy:
        guest.waits = False
    assert admission.enter(Guest(), "127.2.0.2") is single[0], "only if nobody there waits"


@pytest.mark.parametrize("addresses", [STRANGERS + 1, 250, 1000])
def test_a_flood_turns_over_its_own_connections(addresses: int) -> None:
    admission = Admission()
    for number in range(addresses * 2):
        admission.enter(Guest(), f"127.1.{number % addresses // 200}.{number % 200}")
    late = Guest()
    assert admission.enter(late, "127.0.0.1") is not late
    for number in range(addresses * 5):
        address = f"127.1.{number % addresses // 200}.{number % 200}"
        assert admission.enter(Guest(), address) is not late, number
    assert len(admission._shed) <= REMEMBERED


def test_who_is_logged_in_is_never_in_the_way() -> None:
    admission = Admission()
    person = Guest()
    admission.enter(person, "127.0.0.1")
    admission.trust(person)
    assert admission.trusts(person) and admission.strangers == 0
    for number in range(1000):
        assert admission.enter(Guest(), f"127.0.{number % 200}.1") is not person
    admission.leave(person)
    assert not admission.trusts(person) and len(admission) == STRANGERS


def test_where_all_are_being_answered_a_new_one_is_turned_away() -> None:
    admission = Admission()
    for number in range(STRANGERS):
        admission.enter(Guest(waits=False), f"127.0.0.{number}")
    late = Guest()
    assert admission.enter(late, "127.1.1.1") is late
    assert len(admission) == STRANGERS


def test_behind_a_proxy_all_strangers_share_one_address() -> None:
    admission = Admission(STRANGERS)
    assert all(admission.enter(Guest(), "") is None for _ in range(STRANGERS))
    assert admission.enter(Guest(), "") is not None


def test_bounded_whatever_comes_and_goes() -> None:
    chance = random.Random(5)
    admission, inside = Admission(), []
    for _ in range(5000):
        step = chance.random()
        if step < 0.6 or not inside:
            guest = Guest(waits=chance.random() < 0.8)
            inside.append(guest)
            out = admission.enter(guest, f"127.0.0.{chance.randrange(100)}")
            if out is not None:
                inside.remove(out)
        elif step < 0.8:
            admission.trust(chance.choice(inside))
        else:
            admission.leave(inside.pop(chance.randrange(len(inside))))
        assert len(admission) == len(inside) <= STRANGERS + TRUSTED
        assert admission.strangers <= STRANGERS
