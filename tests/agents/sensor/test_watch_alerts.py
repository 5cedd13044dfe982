from __future__ import annotations

from typing import Any

from agents.sensor.watch_alerts import ALERTS_MINUTE, SECOND, AlertMaker, Sighting


def sighting(**changes: Any) -> Sighting:
    values = {
        "classification": "Tunnelling", "key": "a", "source": None, "target": None, "begin_us": 5,
        "end_us": 9, "count": 1, "confidence": 0.6, "explanation": "because", "protocol": 17,
    } | changes  # fmt: skip
    return Sighting(**values)


def test_the_same_key_and_begin_update_one_alert_which_is_never_verified() -> None:
    maker = AlertMaker("sensor")
    first = maker.alert(sighting())
    again = maker.alert(sighting(end_us=10, count=7))
    other = maker.alert(sighting(key="b"))
    assert first and again and other
    assert first.id == again.id != other.id
    assert not first.verified_source


def test_a_minute_has_so_many_alerts() -> None:
    maker = AlertMaker("sensor")
    made = [maker.alert(sighting(key=str(i))) for i in range(ALERTS_MINUTE + 5)]
    assert made.count(None) == maker.held_back == 5
    assert maker.alert(sighting(end_us=61 * SECOND))
    # An older packet does not open the minute again.
    assert maker.alert(sighting(end_us=0)) is not None
