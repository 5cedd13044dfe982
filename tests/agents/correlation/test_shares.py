"""What may be forged never pushes out what can't be, and one class not another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.correlation.shares import (
    EACH,
    UNVERIFIED,
    Owner,
    SharedTable,
    Shares,
    owner_of,
    owner_of_all,
)
from tests.agents.correlation.alerts import alert

FLOOD, QUIET = ("HoneypotContact", "gw1"), ("SynScan", "gw1")


def table(entries: list[tuple[int, Owner | None]], capacity: int) -> SharedTable[int, Owner | None]:
    out: SharedTable[int, Owner | None] = SharedTable(capacity)
    for key, owner in entries:
        out.put(key, owner, owner)
    return out


def test_a_flood_pushes_out_its_own_kind_alone() -> None:
    kept = table([(n, QUIET if n % 2 else None) for n in range(10)], 1000)
    for n in range(100, 10_000):
        kept.put(n, FLOOD, FLOOD)
    assert all(n in kept for n in range(10))
    assert len(kept) == 10 + 1000 // UNVERIFIED // EACH
    assert 9_999 in kept and 100 not in kept


def test_floods_of_many_classes_share_what_is_not_verified() -> None:
    kept = table([(n, None) for n in range(1000)], 1000)
    for n in range(1000, 20_000):
        kept.put(n, None, (f"Kind{n % 40}", "gw1"))
    assert all(n in kept for n in range(1000))
    assert len(kept) == 1000 + 1000 // UNVERIFIED


def test_other_gateways_have_shares_of_their_own() -> None:
    kept = table([(n, ("SynScan", "gw2")) for n in range(5)], 1000)
    for n in range(100, 1000):
        kept.put(n, QUIET, QUIET)
    assert all(n in kept for n in range(5))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([None, FLOOD, QUIET])), max_size=200),
    st.integers(1, 12),
)
def test_verified_entries_are_those_without_any_flood(
    entries: list[tuple[int, Owner | None]], capacity: int
) -> None:
    """Whatever is put in between: keys of the one and the other apart."""
    apart = [(2 * key + (owner is None), owner) for key, owner in entries]
    mixed = table(apart, capacity)
    alone = table([(key, owner) for key, owner in apart if owner is None], capacity)
    assert [k for k in range(62) if k % 2 and k in mixed] == [k for k in range(62) if k in alone]
    assert len(mixed) <= capacity + max(1, capacity // UNVERIFIED)


def test_what_goes_is_counted_by_what_it_was() -> None:
    shares: Shares[int] = Shares(10)
    for n in range(40):
        shares.renew(n, None if n % 2 else FLOOD, weight=2)
        while (key := shares.excess()) is not None:
            shares.lighten(key)
    assert shares.evicted[True] == 20 * 2 - 10
    assert shares.evicted[False] == 20 * 2 - 1
    assert sorted(n % 2 for n in shares.oldest()) == [0, 1]


def test_whose_share_it_is() -> None:
    forged = alert(1, verified_source=False)
    assert owner_of(alert(2)) is None
    assert owner_of(forged) == ("SynScan", forged.analyzer)
    assert owner_of_all([forged, alert(2)]) is None
    assert owner_of_all([forged]) == owner_of(forged)
    assert owner_of_all([]) is None
