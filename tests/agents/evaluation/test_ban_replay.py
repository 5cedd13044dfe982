from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from agents.evaluation.ban_replay import BySource, reaction_times, recognised_shares, replay
from datasets.contacts.contact_log import ContactLog, ContactReader
from rules.bans.ban_lengths import OURS, PAPER

POLICIES = {policy.name: policy for policy in (*PAPER, OURS)}
S = 1_000_000


def log_of(*contacts: tuple[float, str, str]) -> ContactLog:
    reader = ContactReader()
    for at, source, gateway in contacts:
        reader.add(round(at * S), source, gateway, 22, 6)
    return reader.finish()


A, B = "192.0.2.1", "192.0.2.2"
LOG = log_of(
    (0, A, "x"), (60, A, "y"), (100, A, "z"), (500, B, "x"), (505, B, "y"),
    (700, B, "x"), (900, A, "x"), (10_000, B, "x"),
)  # fmt: skip


def test_commands_rules_and_hits_by_hand() -> None:
    """Interval times threshold: A is banned from 60 to 820, and from 900 on for 300 * 11 + 100 s;
    B from 505 to 660, from 700 on for 100 * 11 + 100 s, and at the very end again."""
    result = replay(BySource(LOG), POLICIES["interval-threshold"], since_us=0, end_us=10_000 * S)
    spans = [(int(b) // S, int(e) // S) for b, e in zip(result.begins, result.ends, strict=True)]
    assert spans[:4] == [(60, 820), (505, 660), (700, 1900), (900, 4300)]
    assert spans[4][0] == 10_000
    assert result.as_json() == {
        "commands": 9,  # five added, four removed: the last one still holds
        "rules_mean": pytest.approx((760 + 155 + 1200 + 3400) / 10_000, abs=0.001),
        "rules_max": 2,
        "hits_prevented": 1,
        "bans": 5,
    }


def test_what_was_done_before_is_not_counted_but_has_its_effects() -> None:
    contacts = BySource(LOG)
    policy = POLICIES["interval-threshold"]
    result = replay(contacts, policy, since_us=800 * S, end_us=10_000 * S)
    # Added: A at 900, B at 10,000. Removed: A's first at 820, its second, B's second.
    assert (result.bans, result.commands) == (2, 5)
    assert result.hits_prevented == 0
    assert result.rules_mean == pytest.approx((20 + 1100 + 3400) / 9200)
    commands, rules = result.curve(93)
    assert (commands[0], rules[0]) == (0, 2)
    assert commands[-1] == result.commands
    assert rules[-1] == 1


def test_a_policy_that_bans_nobody() -> None:
    result = replay(BySource(log_of((0, A, "x"))), OURS, since_us=0, end_us=0)
    assert result.as_json() == {
        "commands": 0, "rules_mean": 0.0, "rules_max": 0, "hits_prevented": 0, "bans": 0,
    }  # fmt: skip


def test_most_rules_at_once_is_the_top_of_the_curve() -> None:
    rng = np.random.default_rng(5)
    contacts = BySource(
        log_of(
            *(
                (float(at), f"192.0.2.{who}", f"g{where}")
                for at, who, where in zip(
                    np.sort(rng.uniform(0, 900_000, 3000)),
                    rng.integers(1, 60, 3000),
                    rng.integers(0, 3, 3000),
                    strict=True,
                )
            )
        )
    )
    for policy in POLICIES.values():
        result = replay(contacts, policy, since_us=0, end_us=900_000 * S)
        assert result.hits_prevented > 0
        _, rules = result.curve(100_000)
        assert 0 <= result.rules_max - rules.max() <= 1
        assert rules.mean() == pytest.approx(result.rules_mean, rel=0.01)


def test_who_is_recognised_and_when_it_stops() -> None:
    contacts = BySource(
        log_of(
            (0, A, "x"), (1, A, "x"), (2, A, "y"), (3, A, "x"), (4, A, "x"),
            (0, B, "x"), (1, B, "x"),
        )
    )  # fmt: skip
    assert Counter(contacts.reached().tolist()) == Counter([3, 0])
    several, single = reaction_times(contacts, 11)
    assert (several.tolist(), single.tolist()) == ([2], [1])
    assert reaction_times(contacts, 2)[0].tolist() == []
    of_all, of_several = recognised_shares(contacts, (2, 3))
    assert (of_all.tolist(), of_several.tolist()) == ([0, 0.5], [0, 1])
