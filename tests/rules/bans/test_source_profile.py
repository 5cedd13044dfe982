from __future__ import annotations

import pytest

from rules.bans.source_profile import DAY_US, MAX_ITEMS, SECOND_US, ScanKind, SourceProfile


def profile(*times_s: float, gateway: str = "") -> SourceProfile:
    """Probes at the times; at gateways g0, g1 … in turn, or always at ``gateway``."""
    made = SourceProfile()
    for number, at in enumerate(times_s):
        made.add(round(at * SECOND_US), gateway or f"g{number}", 80)
    return made


def test_the_interval_is_the_mean_between_two_probes() -> None:
    assert profile(100).interval_s == 0
    assert profile(100, 110, 160).interval_s == 30
    assert profile(100, 100, 100).interval_s == 0


def test_who_reaches_a_second_gateway_within_the_threshold_is_recognised() -> None:
    late, in_time = SourceProfile(threshold=3), SourceProfile(threshold=3)
    for at in range(3):
        late.add(at, "a", 22)
    for at in range(2):
        in_time.add(at, "a", 22)
    late.add(3, "b", 22)
    assert not in_time.recognised
    in_time.add(2, "b", 22)
    assert in_time.recognised
    # The fourth probe is too late for a threshold of 3, though the table knows both gateways.
    assert not late.recognised
    assert late.gateways == {"a", "b"}


def test_ports_and_gateways_are_bounded_and_counted_on() -> None:
    made = SourceProfile()
    for number in range(MAX_ITEMS + 10):
        made.add(number, number, number)
    made.add(99_999, "one more", -1)
    assert (len(made.gateways), len(made.ports)) == (MAX_ITEMS, MAX_ITEMS)
    assert made.probes == MAX_ITEMS + 11


DAY = DAY_US / SECOND_US


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        ((0,), "single"),
        ((0, 1, 2, 599), "fast"),
        ((0, 1, 2, 601), "slow"),
        ((0, 3600, 7200), "slow"),
        ((0, 5, 9, DAY + 9, DAY + 12), "hybrid"),
        ((0, 5, DAY + 9, DAY + 12, 2 * DAY + 12, 2 * DAY + 13), "hybrid"),
        # One probe a day is no short scan with a pause, wherever it stands.
        ((0, DAY, 2 * DAY), "slow"),
        ((0, 5, DAY + 9), "slow"),
        ((0, DAY, DAY + 1), "slow"),
        # A second run that is long is not a short one.
        ((0, 5, DAY + 9, DAY + 400, DAY + 700), "slow"),
    ],
)
def test_kinds_of_scan(times: tuple[float, ...], kind: ScanKind) -> None:
    assert profile(*times).kind == kind
