"""Floods use up no room of others."""

from __future__ import annotations

from agents.sensor.evidence.citation_shares import (
    PER_PLACE,
    PER_SOURCE,
    PROVEN,
    UNPROVEN,
    CitationShares,
)

MINUTE = 60_000_000


def test_forged_sources_leave_room_for_real_ones() -> None:
    shares = CitationShares()
    forged = [shares.take(b"%d" % n, "x", proven=False, now_us=0) for n in range(5_000)]
    assert sum(forged) == UNPROVEN and shares.held_back == 5_000 - UNPROVEN
    assert shares.take(b"real", "x", proven=True, now_us=0)


def test_one_real_source_leaves_room_for_others() -> None:
    shares = CitationShares()
    assert sum(shares.take(b"one", "x", proven=True, now_us=0) for _ in range(99)) == PER_PLACE
    assert sum(shares.take(b"one", n, proven=True, now_us=0) for n in range(99)) == (
        PER_SOURCE - PER_PLACE
    )
    assert shares.take(b"other", "x", proven=True, now_us=0)


def test_all_together_are_bounded_and_the_next_minute_begins_anew() -> None:
    shares = CitationShares()
    assert sum(shares.take(b"%d" % n, "x", proven=True, now_us=1) for n in range(999)) == PROVEN
    assert not shares.take(b"late", "x", proven=True, now_us=0)
    assert not shares.take(b"late", "x", proven=True, now_us=-5 * MINUTE)  # an old stamp buys none
    assert shares.take(b"late", "x", proven=True, now_us=MINUTE)
