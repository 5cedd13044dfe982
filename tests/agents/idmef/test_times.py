"""ISO 8601 and NTP stamps."""

from __future__ import annotations

import pytest

from agents.idmef.times import iso_us, ntp_us

AT = 1_790_000_000_500_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-21T14:13:20.5Z",
        "2026-09-21T14:13:20.500000000+00:00",
        "2026-09-21T16:13:20,5+02:00",
        "2026-09-21T14:13:20.5",
    ],
)
def test_one_instant_in_several_forms(text: str) -> None:
    assert iso_us(text) == AT


def test_a_leap_second_is_the_end_of_its_minute() -> None:
    assert iso_us("2016-12-31T23:59:60Z") == iso_us("2016-12-31T23:59:59.999999Z")


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-21T14:13:20Z", "1960-01-01T00:00:00Z"])
def test_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        iso_us(text)


def test_ntp_of_the_rfc_and_of_the_next_era() -> None:
    # RFC 4765 section 7.1.1: 2000-03-09T10:01:25.93464Z
    assert ntp_us("0xbc71f4f5.0xef449129") == iso_us("2000-03-09T10:01:25.934639Z")
    assert ntp_us("0x00000000.0x00000000") == iso_us("2036-02-07T06:28:16Z")
    with pytest.raises(ValueError, match="NTP"):
        ntp_us("bc71f4f5.ef449129")
    with pytest.raises(ValueError, match="before 1970"):
        ntp_us("0x80000000.0x0")
