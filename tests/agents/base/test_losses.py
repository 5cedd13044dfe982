import itertools
from collections import Counter

import pytest

from agents.base.conditions import Conditions
from agents.base.losses import COMMON, QUIET_S, Loss, LossWatch

RING = Loss("capture.*.dropped", "{}: packets lost", "capture.*.packets")


def watch_of(*losses: Loss) -> tuple[LossWatch, Conditions]:
    conditions = Conditions(lambda: 0)
    return LossWatch(losses, conditions), conditions


def test_a_loss_is_news_within_a_look_and_over_when_it_has_been_quiet() -> None:
    watch, conditions = watch_of(RING)
    counts = Counter({"capture.wan0.packets": 1000, "capture.wan0.dropped": 0})
    watch.look(counts, 0.0)
    assert conditions.current() == ()
    counts["capture.wan0.dropped"] += 7
    counts["capture.wan0.packets"] += 1000
    watch.look(counts, 1.0)
    (held,) = conditions.current()
    assert (held.level, held.reason) == ("warning", "wan0: packets lost")
    assert held.numbers == {"since it began": 7, "in the last 10 s": 7, "%": 1}
    for second in range(2, 1 + int(QUIET_S)):
        watch.look(counts, float(second))
        assert conditions.current()
    assert conditions.current()[0].numbers["in the last 10 s"] == 0
    watch.look(counts, 1.0 + QUIET_S)
    assert conditions.current() == ()


def test_losses_that_come_and_go_are_one_warning() -> None:
    watch, conditions = watch_of(RING)
    changes: list[int] = []
    conditions.on_change = lambda: changes.append(1)
    counts = Counter({"capture.wan0.dropped": 0})
    for second in range(300):
        counts["capture.wan0.dropped"] += second % 20 == 0
        watch.look(counts, float(second))
    assert len(changes) == 1
    assert conditions.current()[0].numbers["since it began"] == 15


@pytest.mark.parametrize(
    ("lost", "level"), [(1, "warning"), (40, "warning"), (60, "degraded"), (9000, "degraded")]
)
def test_who_loses_much_of_what_comes_does_not_do_its_work(lost: int, level: str) -> None:
    watch, conditions = watch_of(RING)
    counts: Counter[str] = Counter({"capture.a.dropped": 0, "capture.a.packets": 0})
    for second in range(20):
        watch.look(counts, float(second))
        counts["capture.a.dropped"] += lost
        counts["capture.a.packets"] += 1000
    assert conditions.current()[0].level == level


def test_degraded_ends_when_little_is_lost_and_does_not_flap_in_between() -> None:
    watch, conditions = watch_of(RING)
    counts: Counter[str] = Counter({"capture.a.dropped": 0, "capture.a.packets": 0})
    levels = []
    for second in range(120):
        watch.look(counts, float(second))
        levels += [c.level for c in conditions.current()]
        # Heavy at first, then around the limit, then next to nothing.
        counts["capture.a.dropped"] += (
            500 if second < 20 else 48 + 4 * (second % 2) if second < 80 else 1
        )
        counts["capture.a.packets"] += 1000
    steps = [b for a, b in itertools.pairwise(levels) if a != b]
    assert levels[1] == "degraded" and steps == ["warning"]


def test_a_counter_that_begins_anew_is_no_loss() -> None:
    """Of a worker process that was started again."""
    watch, conditions = watch_of(Loss("signatures.dropped", "not matched"))
    watch.look({"signatures.dropped": 500}, 0.0)
    assert conditions.current()
    watch.look({"signatures.dropped": 500}, QUIET_S)
    watch.look({"signatures.dropped": 0}, QUIET_S + 1)
    assert conditions.current() == ()
    watch.look({"signatures.dropped": 3}, QUIET_S + 2)
    assert conditions.current()[0].numbers["since it began"] == 3


@pytest.mark.parametrize(
    "name", ["refused_stale", "outbox_dropped", "flood_evicted", "evicted", "dropped_inbox_full"]
)
def test_what_any_agent_counts_is_known(name: str) -> None:
    watch, conditions = watch_of(*COMMON)
    watch.look({name: 1, "sent": 5, "outbox_expired": 3}, 0.0)
    assert [c.name for c in conditions.current()] == [f"loss.{name}"]
