from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.bans.ban_lengths import (
    DAY_S,
    OPTIMISED,
    OURS,
    PAPER,
    BanPolicy,
    PersistencePolicy,
)
from rules.bans.ban_tracking import IntervalTracker, PersistenceTracker, track
from rules.bans.source_profile import SECOND_US

BY_NAME = {policy.name: policy for policy in PAPER}
THRESHOLD = BY_NAME["interval-threshold"]
Probe = tuple[float, str]


def follow(
    policy: BanPolicy, probes: list[Probe], end_s: float
) -> tuple[list[tuple[float, float]], list[bool], int]:
    """(bans in seconds, which probes met a ban, extensions)."""
    tracker = track(policy)
    met = [tracker.on_contact(round(at * SECOND_US), place, 80) for at, place in probes]
    tracker.close(round(end_s * SECOND_US))
    bans = [(begin / SECOND_US, end / SECOND_US) for begin, end in tracker.bans]
    return bans, met, tracker.extensions


def test_a_ban_begins_with_the_second_gateway_and_holds_everywhere() -> None:
    probes = [(0.0, "a"), (60.0, "b"), (61.0, "c"), (819.9, "a"), (820.0, "a")]
    bans, met, _ = follow(THRESHOLD, probes, 10_000)
    # 60 s * 11 + 100 s from the second probe on; the last one comes when that is over.
    assert bans[0] == (60, 820)
    assert met == [False, False, True, True, False]
    # It is known, and banned again at once: (820 - 0) / 4 = 205 s of mean interval.
    assert bans[1:] == [(820, 820 + 205 * 11 + 100)]


def test_after_the_history_it_must_be_recognised_anew() -> None:
    policy = replace(THRESHOLD, history_s=1000)
    probes = [(0.0, "a"), (60.0, "b"), (1820.0, "a"), (2920.1 + 500, "a"), (9000.0, "a")]
    bans, met, _ = follow(policy, probes, 100_000)
    assert [begin for begin, _ in bans] == [60, 1820]
    begin, end = bans[1]
    assert end == pytest.approx(begin + 1820 / 2 * 11 + 100)
    late = [*probes[:2], (1820.1, "a"), (1821.0, "a"), (1822.0, "c")]
    bans, _, _ = follow(policy, late, 100_000)
    # The third gateway is the second of the new profile; its interval is of that alone.
    assert bans[1] == (1822, pytest.approx(1822 + 0.95 * 11 + 100))
    assert met[:2] == [False, False]


def test_a_single_gateway_is_never_banned_by_the_paper() -> None:
    probes = [(float(at), "a") for at in range(12)]
    assert follow(THRESHOLD, probes, 100)[0] == []
    # Nor is one that leaves its first gateway after the threshold.
    assert follow(THRESHOLD, [*probes, (12.0, "b")], 100)[0] == []


def test_the_optimised_ban_is_longer_without_a_command() -> None:
    probes = [(60.0 * n, "ab"[n % 2]) for n in range(13)]
    bans, met, extensions = follow(OPTIMISED, probes, 100_000)
    # Ends at 820, active at 720: 5.5 * 60 + 100 s more, until 1250; then nothing since 820.
    assert bans == [(60, 1250)]
    assert sum(met) == 11
    assert extensions == 1
    assert follow(THRESHOLD, probes, 100_000)[0] == [(60, 820)]


def test_a_maximum_ends_the_ban_of_who_has_stopped() -> None:
    probes = [(0.0, "a"), (2.0 * DAY_S, "b")]
    policy = BY_NAME["optimised-5d"]
    assert follow(policy, probes, 1e9)[0] == [(2 * DAY_S, 7 * DAY_S)]
    # Who goes on is examined after 5 days, and stays.
    bans, _, extensions = follow(policy, [*probes, (6.0 * DAY_S, "c")], 1e9)
    assert bans == [(2 * DAY_S, 12 * DAY_S)]
    assert extensions == 1


def test_a_ban_that_runs_at_the_end_keeps_its_end() -> None:
    bans, _, _ = follow(BY_NAME["static-24h"], [(0.0, "a"), (1.0, "b")], 2)
    assert bans == [(1, 1 + DAY_S)]


def test_persistence_by_hand() -> None:
    policy = PersistencePolicy(half_life_s=1e12, ban_at=2.9, most=4, silence_s=40, retry_weight=0.5)
    probes = [(0.0, "a"), (10.0, "b"), (20.0, "a"), (45.0, "a"), (90.0, "a")]
    bans, met, extensions = follow(policy, probes, 1000)
    # The third is the one too many: 30 s of silence (3 of 4, times 40). At 45 a retry (within a
    # minute, of the same place) makes it 3.5: 35 s. At 90 it is over, and begins again at once.
    assert bans == [(20, 80), (90, pytest.approx(90 + 40))]
    assert met == [False, False, False, True, False]
    assert extensions == 1


def test_persistence_fades() -> None:
    policy = PersistencePolicy(half_life_s=100, ban_at=1.9, most=4)
    assert follow(policy, [(0.0, "a"), (10.0, "b")], 20)[0]
    assert not follow(policy, [(0.0, "a"), (50.0, "b")], 60)[0]


def test_each_policy_has_its_tracker() -> None:
    assert isinstance(track(OURS), PersistenceTracker)
    assert isinstance(track(OPTIMISED), IntervalTracker)


@given(
    gaps=st.lists(st.floats(0, 3 * DAY_S), min_size=1, max_size=60),
    places=st.lists(st.sampled_from("abc"), min_size=60, max_size=60),
    policy=st.sampled_from([*PAPER, OURS]),
)
def test_bans_follow_each_other_and_hold_what_they_say(
    gaps: list[float], places: list[str], policy: BanPolicy
) -> None:
    times: list[float] = []
    for gap in gaps:
        times.append((times[-1] if times else 0.0) + gap)
    probes = list(zip(times, places, strict=False))
    bans, met, _ = follow(policy, probes, times[-1])
    ends = [0.0]
    for begin, end in bans:
        assert ends[-1] <= begin < end
        ends.append(end)
    for at, held in zip(times, met, strict=True):
        at = round(at * SECOND_US) / SECOND_US
        if held:
            assert any(begin <= at < end for begin, end in bans)
        else:
            assert not any(begin < at < end for begin, end in bans)
