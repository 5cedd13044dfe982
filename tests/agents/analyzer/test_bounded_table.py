"""Tables whose keys strangers choose: bounded in entries and in what they hold together."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from agents.analyzer.bounded_table import ENTRY, Table


def test_the_least_recently_used_goes_first_and_is_counted() -> None:
    table: Table[list[int]] = Table(list, 2)
    table.get("a"), table.get("b")
    table.get("a")
    table.get("c")
    assert sorted(table.keys()) == ["a", "c"]
    assert table.evicted == 1


def test_heavy_entries_push_others_out_before_the_table_is_full() -> None:
    table: Table[list[int]] = Table(list, 100, 10, entry=1)
    for key in range(5):
        table.get(key)
        table.weigh(key, 3)
    assert list(table.keys()) == [3, 4]
    assert table.evicted == 3


def test_a_single_entry_stays_however_heavy() -> None:
    table: Table[list[int]] = Table(list, 100, 10)
    table.get("a")
    table.weigh("a", 1000)
    assert "a" in table and len(table) == 1


def test_what_entries_can_do_without_goes_before_an_entry() -> None:
    table: Table[list[int]] = Table(list, 100, 10, entry=1, shed=lambda items: 0)
    for key in range(5):
        table.get(key)
        table.weigh(key, 4)
    assert (len(table), table.evicted) == (5, 0)
    assert table.lightened > 0


steps = st.lists(
    st.tuples(st.sampled_from(["get", "weigh", "drop"]), st.integers(0, 6), st.integers(0, 30))
)


@given(steps)
def test_bounds_hold_after_every_step(taken: Iterator[tuple[str, int, int]]) -> None:
    table: Table[list[int]] = Table(list, 4, 100)
    weights: dict[int, int] = {}
    for what, key, weight in taken:
        if what == "get":
            table.get(key)
            weights.setdefault(key, 0)
        elif what == "weigh" and key in table:
            table.weigh(key, weight)
            weights[key] = weight
        elif what == "drop":
            table.drop(key)
        weights = {key: weight for key, weight in weights.items() if key in table}
        assert len(table) <= 4
        assert table._total == sum(weights.values()) + ENTRY * len(table)
        assert table._total <= 100 or len(table) == 1


def test_who_proved_nothing_pushes_out_nobody_who_did() -> None:
    table: Table[list[int]] = Table(list, 100)
    for key in range(75):
        table.get(key)
        table.prove(key)
    for key in range(1000, 3000):
        table.get(key)
    assert all(key in table for key in range(75))
    assert len(table) == 100 and table.evicted == 2000 - 25
    # Beyond their three quarters they make room for each other.
    for key in range(100, 200):
        table.get(key)
        table.prove(key)
    assert sum(key in table for key in range(200)) <= 76
    assert 199 in table and 0 not in table


def test_what_entries_hold_pushes_out_nobody_who_proved_something() -> None:
    table: Table[list[int]] = Table(list, 100, 1000, entry=1)
    table.get("real")
    table.prove("real")
    table.weigh("real", 500)
    for key in range(50):
        table.get(key)
        table.weigh(key, 200)
    assert "real" in table and table._total <= 1000
    table.drop("real")
    table.prove("real")  # it is gone
    assert table._proven_total == 0 and "real" not in table


moves = st.lists(st.tuples(st.sampled_from(["get", "weigh", "drop", "prove"]), st.integers(0, 9)))


@given(moves)
def test_the_sums_are_right_whatever_is_done(taken: list[tuple[str, int]]) -> None:
    table: Table[list[int]] = Table(list, 5, 60, entry=2)
    for what, key in taken:
        if what == "get":
            table.get(key)
        elif what == "drop":
            table.drop(key)
        elif key in table:
            table.weigh(key, 3 * key) if what == "weigh" else table.prove(key)
        assert table._total == sum(table._weights.values())
        assert table._proven_total == sum(table._weights[k] for k in table._proven)
        assert sorted([*table._plain, *table._proven]) == sorted(table._entries)
        assert len(table) <= 5
