"""Claims: a maximum with a veto, whatever the order of the messages."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.reaction.claims import LEAST_VETO_S, MAX_CLAIMS, MAX_ENDED, Claim, Claims

ADDRESS = ip_address("203.0.113.5")
SUPERVISOR, CELL, OTHER = "supervisor.c@x", "correlation.gw1@x", "correlation.gw2@x"
NOW = 1000.0


def claims() -> Claims:
    return Claims(frozenset({SUPERVISOR}))


def block(
    held: Claims, by: str, number: int, seconds: float, *, now: float = NOW, ident: str = ""
) -> str:
    claim = Claim(
        claimant=by,
        decision=ident or f"urn:x:{by}:{number}",
        decided_us=number,
        since_us=0,
        end=now + seconds,
    )
    return held.claim(ADDRESS, claim, decided=now)


def left(held: Claims, now: float = NOW) -> float:
    latest = held.of(ADDRESS).after(now).latest
    return 0.0 if latest is None else latest.end - now


def test_the_latest_end_counts_and_who_ends_it_ends_its_own() -> None:
    held = claims()
    block(held, CELL, 1, 60)
    block(held, OTHER, 1, 300)
    assert left(held) == 300
    held.end(ADDRESS, OTHER, 2, now=NOW, veto_s=0)
    assert left(held) == 60
    held.end(ADDRESS, OTHER, 3, now=NOW, veto_s=0)
    held.end(ADDRESS, CELL, 3, now=NOW, veto_s=0)
    assert left(held) == 0 and ADDRESS not in held


def test_a_withdrawal_ends_what_was_decided_before_it_and_nothing_else() -> None:
    held = claims()
    block(held, CELL, 1, 300)
    block(held, CELL, 5, 60)
    held.end(ADDRESS, CELL, 3, now=NOW, veto_s=0)
    assert left(held) == 60
    assert block(held, CELL, 2, 900) == "lifted"
    assert block(held, CELL, 6, 900) == "applied"


def test_the_supervisor_shortens_and_nobody_else_does() -> None:
    held = claims()
    block(held, SUPERVISOR, 1, 300)
    block(held, SUPERVISOR, 2, 60)
    assert left(held) == 60
    assert block(held, SUPERVISOR, 1, 300) == "covered"
    block(held, CELL, 1, 300)
    block(held, CELL, 2, 90)
    assert left(held) == 300


def test_the_same_order_again_lengthens_nothing() -> None:
    held = claims()
    for by in (SUPERVISOR, CELL):
        block(held, by, 1, 60, ident=f"urn:x:{by}")
    for number, now in ((1, NOW + 20), (2, NOW + 30)):
        for by in (SUPERVISOR, CELL):
            block(held, by, number, 60, now=now, ident=f"urn:x:{by}")
        assert left(held) == 60
    state = held.of(ADDRESS).after(NOW + 61)
    held.put(ADDRESS, state)
    assert block(held, CELL, 2, 60, now=NOW + 62, ident=f"urn:x:{CELL}") == "over"
    assert block(held, SUPERVISOR, 2, 60, now=NOW + 62, ident=f"urn:x:{SUPERVISOR}") == "over"


def test_a_covered_order_that_comes_again_is_not_newly_counted() -> None:
    held = claims()
    block(held, CELL, 1, 3600)
    block(held, CELL, 2, 3590, now=NOW + 10)
    assert block(held, CELL, 1, 3600, now=NOW + 100) == "covered"
    assert left(held) == 3600


@pytest.mark.parametrize(("veto_s", "holds"), [(0, LEAST_VETO_S), (3600, 3600)])
def test_a_lift_holds_for_as_long_as_it_says(veto_s: float, holds: float) -> None:
    held = claims()
    block(held, CELL, 1, 900)
    block(held, SUPERVISOR, 1, 900)
    held.end(ADDRESS, SUPERVISOR, 2, now=NOW, veto_s=veto_s)
    assert left(held) == 0
    assert block(held, CELL, 9, 9000, now=NOW + holds) == "lifted"
    assert block(held, CELL, 9, 9000, now=NOW + holds + 1) == "applied"
    assert block(held, SUPERVISOR, 2, 9000) == "lifted"
    assert block(held, SUPERVISOR, 3, 9500) == "applied"


def test_an_older_lift_that_comes_late_changes_nothing() -> None:
    held = claims()
    held.end(ADDRESS, SUPERVISOR, 5, now=NOW, veto_s=0)
    block(held, SUPERVISOR, 6, 60)
    held.end(ADDRESS, SUPERVISOR, 4, now=NOW + 1, veto_s=9000)
    held.end(ADDRESS, SUPERVISOR, 5, now=NOW + 2, veto_s=0)
    assert left(held) == 60
    assert block(held, CELL, 1, 90, now=NOW + LEAST_VETO_S + 1) == "applied"


@dataclass(frozen=True)
class Said:
    """One message about the address."""

    by: str
    number: int
    seconds: float
    unblock: bool = False

    def to(self, held: Claims) -> None:
        if self.unblock:
            held.end(ADDRESS, self.by, self.number, now=NOW, veto_s=self.seconds)
        else:
            block(held, self.by, self.number, self.seconds)


said = st.lists(
    st.builds(
        Said,
        by=st.sampled_from([SUPERVISOR, CELL, OTHER]),
        number=st.integers(1, 40),
        seconds=st.integers(1, 1000).map(float),
        unblock=st.sampled_from([False, False, False, True]),
    ),
    max_size=12,
    unique_by=lambda s: (s.by, s.number),
)


def outcome(held: Claims) -> tuple[object, dict[str, float]]:
    """Until when the address is blocked, and for whom."""
    ends: dict[str, float] = {}
    for claim in held.of(ADDRESS).claims:
        ends[claim.claimant] = max(ends.get(claim.claimant, 0.0), claim.end)
    return held.latest(ADDRESS), ends


@given(messages=said, data=st.data())
def test_the_order_of_messages_does_not_matter(messages: list[Said], data: st.DataObject) -> None:
    """Shuffled, repeated, and some of them lost at first and sent again."""
    first, second = claims(), claims()
    for message in messages:
        message.to(first)
    lost = data.draw(st.sets(st.sampled_from(messages)) if messages else st.just(set()))
    repeats = data.draw(
        st.lists(st.sampled_from(messages), max_size=8) if messages else st.just([])
    )
    arrived = [m for m in messages if m not in lost] + [m for m in repeats if m not in lost]
    for message in [
        *data.draw(st.permutations(arrived)),
        *data.draw(st.permutations([m for m in messages if m in lost])),
    ]:
        message.to(second)
    assert outcome(first) == outcome(second)


@given(messages=said)
def test_nobody_is_blocked_for_longer_than_one_of_them_ordered(messages: list[Said]) -> None:
    held = claims()
    for message in messages:
        message.to(held)
    ordered = [m.seconds for m in messages if not m.unblock]
    assert left(held) <= max(ordered, default=0.0)
    lifts = [m.number for m in messages if m.unblock and m.by == SUPERVISOR]
    for claim in held.of(ADDRESS).claims:
        if lifts:
            assert claim.claimant == SUPERVISOR and claim.decided_us > max(lifts)


def test_what_is_remembered_is_bounded() -> None:
    held = claims()
    for number in range(3 * MAX_CLAIMS):
        block(held, CELL, 100 - number, 10 + number)
    assert len(held.of(ADDRESS).claims) == MAX_CLAIMS
    assert left(held) == 10 + 3 * MAX_CLAIMS - 1
    for number in range(MAX_ENDED + 5):
        held.end(ip_address(number), SUPERVISOR, 1, now=NOW, veto_s=0)
    assert len(held.states()) == MAX_ENDED + 1
