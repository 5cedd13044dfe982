from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import get_args, get_type_hints

import pytest

from agents.correlation.rhythms import FIXED, Rhythm, Rhythms
from agents.settings.honeynet import Policy
from ontology.records import Alert
from rules.bans.ban_lengths import DAY_S, LENGTHS, OURS

S = 1_000_000
T0 = 1_790_000_000 * S
SOURCE = ip_address("192.0.2.7")


def alert(begin_s: float, end_s: float, count: int, **fields: object) -> Alert:
    made = Alert(
        id="urn:uuid:00000000-0000-0000-0000-000000000001",
        classification="SynScan",
        source=SOURCE,
        target=None,
        target_port=None,
        protocol=6,
        begin_us=T0 + round(begin_s * S),
        end_us=T0 + round(end_s * S),
        confidence=0.9,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
        count=count,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def rhythms(name: str, *alerts: Alert, capacity: int = 100) -> Rhythms:
    made = Rhythms(Policy.model_validate({"ban_length": name, "block_duration": 500}), capacity)
    made.take(alerts)
    return made


def test_the_settings_know_every_length() -> None:
    names = get_args(get_type_hints(Policy)["ban_length"])
    assert set(names) == {FIXED, *LENGTHS, OURS.name}


@pytest.mark.parametrize(
    ("name", "seconds", "why"),
    [
        # Six contacts in 300 s: one in 60.
        ("interval-squared", 3700, "6 contacts, one in 60 s"),
        ("interval-squared-half", 1900, "6 contacts, one in 60 s"),
        ("interval-threshold", 760, "6 contacts, one in 60 s"),
        ("static-24h", 86_400, "6 contacts, one in 60 s"),
        ("persistence", 75_600, "6 contacts, persistence 6.0 of 12"),
    ],
)
def test_lengths_by_hand(name: str, seconds: float, why: str) -> None:
    # Three in the first minute, then the same alert has grown by three more.
    found, said = rhythms(name, alert(0, 60, 3), alert(0, 300, 3)).length(SOURCE)
    assert found == pytest.approx(seconds, abs=20)
    assert said.endswith(f"({name}; {why}).")


def test_fixed_keeps_nothing_and_says_nothing() -> None:
    made = rhythms(FIXED, alert(0, 60, 3))
    assert len(made) == 0
    assert made.length(SOURCE) == (500, "")


def test_what_could_be_forged_does_not_count() -> None:
    made = rhythms("static-24h", alert(0, 1, 9, verified_source=False), alert(0, 1, 9, source=None))
    assert len(made) == 0
    assert made.length(SOURCE) == (
        500,
        "Length: 500 s (block_duration), as no contact is remembered.",
    )


def test_the_first_contact_has_no_interval() -> None:
    assert rhythms("interval-threshold", alert(0, 0, 1)).length(SOURCE) == (
        100,
        "Length: 100 s (interval-threshold; 1 contact, its first).",
    )


def test_who_came_longest_ago_is_forgotten() -> None:
    others = [alert(n, n, 1, source=ip_address(n + 1)) for n in range(10)]
    made = rhythms("static-24h", alert(0, 0, 1), *others, capacity=5)
    assert len(made) == 5
    assert made.length(SOURCE)[0] == 500


def test_after_a_month_it_begins_anew() -> None:
    late = 31 * DAY_S
    rhythm = Rhythm()
    rhythm.take(alert(0, 10, 100))
    assert rhythm.persistence == OURS.most
    rhythm.take(alert(late, late + 50, 2))
    assert (rhythm.contacts, rhythm.interval_s) == (2, 50)
    assert rhythm.persistence == 2


def test_an_alert_that_comes_late_is_of_its_own_time() -> None:
    rhythm = Rhythm()
    rhythm.take(alert(100, 200, 2))
    rhythm.take(alert(0, 50, 3))
    assert (rhythm.contacts, rhythm.interval_s) == (5, 50)
    assert rhythm.persistence == 5
