"""Repeats, crowds and budgets of signature alerts."""

from __future__ import annotations

import uuid
from dataclasses import replace
from ipaddress import IPv4Address

from agents.sensor.signatures import limits
from agents.sensor.signatures.limits import (
    CROWD,
    MAX_UNVERIFIED,
    REPEAT_US,
    AlertLimiter,
)
from ontology.fragments import decode, encode
from ontology.records import Alert
from tests.factories import make_alert

T0 = 1_795_000_000_000_000
VICTIM = IPv4Address("192.0.2.80")


def alert(source: int, at_us: int = 0, *, verified: bool = False, port: int | None = 80) -> Alert:
    return make_alert(
        id=uuid.uuid5(uuid.NAMESPACE_OID, f"{source} {at_us} {verified} {port}").urn,
        classification="WebAttack",
        source=IPv4Address(source),
        target=VICTIM,
        target_port=port,
        begin_us=T0 + at_us,
        end_us=T0 + at_us,
        confidence=0.7,
        verified_source=verified,
        explanation="signature",
    )


def test_repeats_are_told_once_a_minute() -> None:
    limiter = AlertLimiter()
    sent = [a for i in range(50) for a in limiter.offer("1:1", alert(7, i * 1_000_000, port=i))]
    assert [a.count for a in sent] == [1]
    assert limiter.counters["joined"] == 49
    assert limiter.due(T0 + REPEAT_US - 1) == []
    (again,) = limiter.due(T0 + REPEAT_US)
    assert (again.count, again.target_port, again.source) == (49, None, sent[0].source)
    assert again.id not in {a.id for a in sent}
    assert decode(encode([again])) == (again,)
    assert limiter.offer("1:1", alert(7, 3 * REPEAT_US)) != []


def test_another_signature_or_target_is_told_at_once() -> None:
    limiter = AlertLimiter()
    other = replace(alert(7), target=IPv4Address("192.0.2.81"))
    assert [len(limiter.offer(s, a)) for s, a in (("1:1", alert(7)), ("1:2", alert(7)))] == [1, 1]
    assert len(limiter.offer("1:1", other)) == 1


def test_that_a_source_is_real_after_all_is_told_at_once() -> None:
    limiter = AlertLimiter()
    limiter.offer("1:1", alert(7))
    (sent,) = limiter.offer("1:1", alert(7, 5, verified=True))
    assert sent.verified_source
    assert limiter.offer("1:1", alert(7, 6, verified=True)) == []


def test_a_crowd_of_forged_sources_is_one_alert() -> None:
    limiter = AlertLimiter()
    sent = [a for i in range(30_000) for a in limiter.offer("1:1", alert(1000 + i, i))]
    assert len(sent) == CROWD
    (many,) = [a for a in limiter.due(T0 + 2 * REPEAT_US) if a.source is None]
    assert (many.count, many.source_count, many.verified_source) == (30_000 - CROWD, 4096, False)
    assert len(many.sources) == 16
    assert decode(encode([many])) == (many,)


def test_forged_matches_on_all_signatures_don_t_use_up_what_verified_ones_may() -> None:
    limiter = AlertLimiter()
    sent = []
    for i in range(20_000):
        sent += limiter.offer(f"1:{i % 3000}", alert(1000 + i, i))
    sent += limiter.offer("1:5", alert(7, 20_000, verified=True))
    assert sum(not a.verified_source for a in sent) == MAX_UNVERIFIED
    assert sent[-1].source == IPv4Address(7)
    assert limiter.counters["suppressed"] > 1000


def test_what_is_remembered_is_bounded(monkeypatch: object) -> None:
    limiter = AlertLimiter()
    for i in range(3 * limits.MAX_PAIRS):
        limiter.offer(f"1:{i}", alert(i + 1, verified=True))
    assert len(limiter._pairs) <= limits.MAX_PAIRS
    assert len(limiter._crowds) <= limits.MAX_CROWDS
    limiter.due(None)
    assert not limiter._pairs and not limiter._crowds
