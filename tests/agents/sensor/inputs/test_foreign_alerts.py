"""In whose name alerts of other managers are told."""

from __future__ import annotations

from agents.sensor.inputs.foreign_alerts import told_by
from ontology.addresses import packed
from tests.agents.idmef.samples import alert


def test_the_sensor_tells_it() -> None:
    (told,) = told_by([alert()], sensor="sensor.gw1@x")
    assert (told.sensor, told.analyzer, told.verified_source) == (*["sensor.gw1@x"] * 2, True)


def test_nothing_accuses_a_relay_of_ours() -> None:
    source = alert().source
    assert source is not None
    (told,) = told_by([alert()], sensor="s", relays={packed(source)})
    assert (told.source, told.verified_source) == (None, False)
    assert "relay of our own" in told.explanation


def test_the_last_of_one_id_counts() -> None:
    (told,) = told_by([alert(count=1), alert(count=2)], sensor="s")
    assert told.count == 2
