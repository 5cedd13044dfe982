from __future__ import annotations

from dataclasses import replace

import pytest

from rules.bans.ban_lengths import DAY_S, OPTIMISED, OURS, PAPER, PersistencePolicy
from rules.bans.source_profile import SECOND_US, SourceProfile

BY_NAME = {policy.name: policy for policy in PAPER}


def profile(*times_s: float) -> SourceProfile:
    made = SourceProfile()
    for number, at in enumerate(times_s):
        made.add(round(at * SECOND_US), number, 80)
    return made


# Two probes 60 s apart; three within 10 minutes (interval 300 s); an interval of 2 days; none.
@pytest.mark.parametrize(
    ("name", "minute", "slower", "two_days", "at_once"),
    [
        ("interval-squared", 3_700, 90_100, 172_800**2 + 100, 100),
        ("interval-squared-half", 1_900, 45_100, 172_800**2 / 2 + 100, 100),
        ("interval-threshold", 760, 3_400, 22 * 86_400 + 100, 100),
        ("static-24h", 86_400, 86_400, 86_400, 86_400),
        ("optimised", 760, 3_400, 22 * 86_400 + 100, 100),
        ("optimised-5d", 760, 3_400, 5 * 86_400, 100),
        ("optimised-7d", 760, 3_400, 7 * 86_400, 100),
        ("optimised-10d", 760, 3_400, 10 * 86_400, 100),
    ],
)
def test_lengths_by_hand(
    name: str, minute: float, slower: float, two_days: float, at_once: float
) -> None:
    length = BY_NAME[name].length_s
    assert length(profile(0, 60)) == minute
    assert length(profile(0, 1, 600)) == slower
    assert length(profile(0, 2 * DAY_S)) == pytest.approx(min(two_days, 3_153_600_000))
    assert length(profile(5, 5)) == at_once


def test_all_of_the_paper_are_there() -> None:
    assert len(BY_NAME) == len(PAPER) == 8


def test_another_threshold_is_another_length() -> None:
    made = SourceProfile(threshold=6)
    made.add(0, "a", 1)
    made.add(60 * SECOND_US, "b", 1)
    assert BY_NAME["interval-threshold"].length_s(made) == 460


def test_a_ban_is_extended_who_was_active_in_the_last_two_intervals() -> None:
    # Interval 60 s; the ban of 760 s began with the probe at 60 and ends at 820.
    active = profile(0, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 660, 720)
    ends = 820 * SECOND_US
    assert OPTIMISED.extension_s(active, 60 * SECOND_US, ends) == 5.5 * 60 + 100
    # 700 is the edge of the last two intervals.
    assert OPTIMISED.extension_s(active, 60 * SECOND_US, 840 * SECOND_US) == 430
    assert OPTIMISED.extension_s(active, 60 * SECOND_US, 841 * SECOND_US) == 0
    # What it did before this time of the ban was weighed when that time began.
    assert OPTIMISED.extension_s(active, 720 * SECOND_US, ends) == 0
    capped = replace(OPTIMISED, maximum_s=200)
    assert capped.extension_s(active, 60 * SECOND_US, ends) == 200
    assert BY_NAME["interval-threshold"].extension_s(active, 60 * SECOND_US, ends) == 0


def test_persistence_halves_and_is_bounded() -> None:
    policy = PersistencePolicy(half_life_s=100, most=4)
    assert policy.add(2, 100, retry=False) == 2
    assert policy.add(2, 100, retry=True) == pytest.approx(1.85)
    assert policy.add(4, 0, retry=False) == 4
    assert policy.add(0, 5, retry=False) == 1


def test_the_longer_it_persists_the_longer_it_must_be_silent() -> None:
    lengths = [OURS.silent_s(persistence) for persistence in (7.25, 10, 12)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == 1.75 * DAY_S


def test_only_who_can_be_banned_is_followed() -> None:
    assert not OPTIMISED.can_ban(100, 1)
    assert OPTIMISED.can_ban(2, 2)
    assert not OURS.can_ban(7, 7)
    assert OURS.can_ban(8, 1)
