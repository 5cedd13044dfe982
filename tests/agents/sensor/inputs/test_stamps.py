"""Time stamps: each form gives the moment that its program meant."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.inputs.events import LineRefused
from agents.sensor.inputs.stamps import stamp

NOW_US = 1_795_200_000_000_000
"""2026-11-20 18:40 UTC."""
AT_US = int(datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Nov 20 01:02:03 gw kernel: x", 0),
        ("<4>Nov 20 01:02:03 gw kernel: x", 0),
        ("Nov 20 01:02:03.123456 gw kernel: x", 123456),  # journalctl -o short-precise
        ("Nov 20 2026 01:02:03: %ASA-4-106023: x", 0),
        ("Nov 20 01:02:03 UTC: %ASA-4-106023: x", 0),
        ("Nov 20 01:02:03 2026 kern.warn kernel: x", 0),
        ("Fri Nov 20 01:02:03 2026 kern.warn kernel: [ 12.0] x", 0),  # OpenWrt's logread
        ("[Fri Nov 20 01:02:03 2026] x", 0),  # dmesg -T
        ("Fri Nov 20 01:02:03 UTC 2026 x", 0),  # date(1)
        ("Fri Nov 20 02:02:03 +0100 2026 x", 0),
        ("2026-11-20T01:02:03,123456+00:00 x", 123456),  # dmesg --time-format iso
        ("2026-11-20T02:02:03+0100 gw kernel: x", 0),  # journalctl -o short-iso
        ("2026-11-20T01:02:03.123456+0000 gw x", 123456),
        ("<4>1 2026-11-20T01:02:03.5Z gw kernel - - - x", 500_000),
        ("2026-11-20 01:02:03 gw kernel: x", 0),
        ("2026/11/20 01:02:03 [error] x", 0),  # nginx
        ("Fri 2026-11-20 01:02:03 UTC gw kernel: x", 0),  # journalctl -o short-full
        ("[2026-11-20 01:02:03] x", 0),
        ("1795136523.250000 gw kernel: x", 250_000),  # journalctl -o short-unix
        ("1795136523 gw kernel: x", 0),
        ("1795136523250 x", 250_000),
        ("20/Nov/2026:02:02:03 +0100 x", 0),
        ("100 6 tap100i0-IN 20/Nov/2026:02:02:03 +0100 policy DROP: IN=x", 0),  # Proxmox
        ("11/20-01:02:03.123456  [**] [1:2:3] x", 123456),  # Snort's fast.log
        ("11/20/2026-01:02:03.123456  [**] [1:2:3] x", 123456),  # Suricata's
        ("11/20/26-01:02:03.123456  [**] [1:2:3] x", 123456),  # Snort 2 -y
        ("26/11/20-01:02:03.123456  [**] [1:2:3] x", 123456),  # Snort 3 -y
    ],
)
def test_forms(text: str, part: int) -> None:
    assert stamp(text, UTC, NOW_US)[0] == AT_US + part


def test_where_the_rest_begins() -> None:
    for text in ("Nov 20 01:02:03 gw x: y", "[Fri Nov 20 01:02:03 2026] gw x: y"):
        _, end = stamp(text, UTC, NOW_US)
        assert text[end:] == "gw x: y"


def test_a_zone_of_the_input_counts_where_none_is_named() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for text in (
        "Nov 20 02:02:03 gw x",
        "Fri Nov 20 02:02:03 2026 x",
        "2026-11-20 02:02:03 x",
        "11/20-02:02:03.000000 x",
        "Fri 2026-11-20 02:02:03 CET gw x",
    ):
        assert stamp(text, zone, NOW_US)[0] == AT_US
    assert stamp("2026-11-20T01:02:03Z x", zone, NOW_US)[0] == AT_US


def test_a_host_that_is_called_like_a_zone_is_none() -> None:
    assert stamp("Nov 20 01:02:03 EST kernel: x", UTC, NOW_US)[0] == AT_US
    assert stamp("2026-11-20 01:02:03 GW kernel: x", UTC, NOW_US)[0] == AT_US


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "time"),
        ("kernel: [12.5] x", "time"),
        ("[   12.345678] x", "time"),  # since boot: of which day is not said
        ("Foo 20 01:02:03 x", "time"),
        ("Nov 31 01:02:03 x", "time"),
        ("2026-13-20T01:02:03Z x", "time"),
        ("32/Nov/2026:01:02:03 +0000 x", "time"),
        ("13/40-01:02:03.5 x", "time"),
        ("99999999999999999 x", "time"),
        ("Fri 2026-11-20 01:02:03 CST gw x", "timezone"),  # China's, Cuba's or Chicago's
        ("Fri Nov 20 01:02:03 IST 2026 x", "timezone"),
    ],
)
def test_what_is_no_time_is_refused(text: str, reason: str) -> None:
    with pytest.raises(LineRefused) as error:
        stamp(text, UTC, NOW_US)
    assert error.value.reason == reason


def test_the_year_is_the_latest_that_is_not_to_come() -> None:
    december = stamp("Dec 31 23:00:00 gw x", UTC, NOW_US)[0]
    assert december == int(datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp()) * 1_000_000
    leap = stamp("02/29-01:02:03.0 x", UTC, NOW_US)[0]
    assert leap == int(datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC).timestamp()) * 1_000_000


def test_half_of_a_surrogate_pair_is_no_time() -> None:
    with pytest.raises(LineRefused):
        stamp("\ud800", UTC, NOW_US)


@given(
    st.text(max_size=60)
    | st.from_regex(r"\A[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d[ .:\w]{0,9}", fullmatch=True)
    | st.from_regex(
        r"\A\d{1,4}[-/]\d{1,2}[-/ ]\d{1,4}[-T ]\d\d:\d\d:\d\d[.,]\d{0,12}", fullmatch=True
    ),
    st.sampled_from([UTC, ZoneInfo("America/New_York")]),
)
def test_any_text_has_a_time_or_is_refused(text: str, zone: tzinfo) -> None:
    try:
        at, end = stamp(text, zone, NOW_US)
    except LineRefused as e:
        assert e.reason in ("time", "timezone")
    else:
        assert at >= 0 and 0 <= end <= len(text) + 1
