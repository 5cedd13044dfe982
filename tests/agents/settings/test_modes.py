"""Which mode counts."""

from __future__ import annotations

import pytest

from agents.settings.modes import MODES, Counts, Mode, Modes, strictest
from ontology.taxonomy import Taxonomy, tried


@pytest.mark.parametrize(
    ("gateway", "by_class", "by_rule", "counts", "for_a_person"),
    [
        ("enforce", "enforce", "enforce", "enforce", "enforce"),
        ("enforce", "approve", "enforce", "approve", "enforce"),
        ("enforce", "enforce", "shadow", "shadow", "enforce"),
        ("approve", "enforce", "enforce", "approve", "enforce"),
        ("approve", "shadow", "approve", "shadow", "enforce"),
        ("shadow", "enforce", "approve", "shadow", "shadow"),
    ],
)
def test_the_strictest_counts_and_a_person_waits_for_nobody(
    gateway: Mode, by_class: Mode, by_rule: Mode, counts: Mode, for_a_person: Mode
) -> None:
    modes = Modes({"gw1": gateway}, {"ScanIncident": by_class, "A rule": by_rule})
    assert modes.of("gw1", "ScanIncident", "A rule").mode == counts
    assert modes.of("gw1", "ScanIncident", "A rule", by_person=True).mode == for_a_person


def test_what_is_not_named_is_enforced() -> None:
    assert Modes().of("gw1", "ScanIncident", "A rule") == Counts("enforce")
    assert strictest() == Counts("enforce")
    assert strictest(*map(Counts, MODES)) == Counts("shadow")


EDITED = Taxonomy(
    {
        "FloodIncident": ("Incident",),
        "SlowFlood": ("FloodIncident",),
        "SlowSynFlood": ("SlowFlood", "StealthyIncident"),
        "StealthyIncident": ("Incident",),
        "Scan": ("Attack",),
        "Honeypot": ("Host",),
    }
)


@pytest.mark.parametrize(
    ("named", "classification", "words"),
    [
        ({"Incident": "approve"}, "SlowFlood", "mode approve of class Incident"),
        ({"Incident": "approve", "FloodIncident": "enforce"}, "SlowFlood",
         "mode enforce of class FloodIncident"),
        ({"Incident": "enforce", "FloodIncident": "shadow"}, "SlowFlood",
         "mode shadow of class FloodIncident"),
        ({"SlowFlood": "enforce", "FloodIncident": "shadow"}, "FloodIncident",
         "mode shadow of class FloodIncident"),
        # Two are equally near: the strictest of them.
        ({"SlowFlood": "approve", "StealthyIncident": "shadow", "Incident": "enforce"},
         "SlowSynFlood", "mode shadow of class StealthyIncident"),
        ({"FloodIncident": "shadow"}, "StealthyIncident", "mode enforce"),
        ({"Incident": "shadow"}, "Manual", "mode enforce"),
    ],
)  # fmt: skip
def test_a_class_has_the_mode_of_the_nearest_above_it(
    named: dict[str, Mode], classification: str, words: str
) -> None:
    with tried(EDITED):
        assert Modes(named=named).of("gw1", classification).words == words


def test_who_is_the_strictest_is_said() -> None:
    modes = Modes({"gw1": "approve", "gw2": "shadow"}, {"Incident": "approve", "A rule": "shadow"})
    assert modes.of("gw1", "FloodIncident").words == "mode approve of gateway gw1"
    assert modes.of("gw2", "FloodIncident").words == "mode shadow of gateway gw2"
    assert modes.of("gw1", "FloodIncident", "A rule").words == "mode shadow of rule A rule"
    assert modes.of_reason("FloodIncident").words == "mode approve of class Incident"
