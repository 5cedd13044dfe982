"""A copy of a record equals what the constructor makes, and the record stays as it was."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ontology.records import Alert
from ontology.unchecked_copy import unchecked_copy

ALERT = Alert(
    id="urn:uuid:1",
    classification="SynScan",
    source=ip_address("192.0.2.1"),
    target=None,
    targets=(ip_address("198.51.100.7"),),
    protocol=6,
    begin_us=1,
    end_us=2,
    count=5,
    confidence=0.5,
    verified_source=False,
    sensor="sensor.gw1@example.org",
    analyzer="analyzer.gw1@example.org",
    explanation="5 SYNs",
)


def test_it_is_what_the_constructor_makes() -> None:
    before = replace(ALERT)
    assert unchecked_copy(ALERT) == ALERT and unchecked_copy(ALERT) is not ALERT
    changed = unchecked_copy(ALERT, count=3, stage="senior")
    assert changed == replace(ALERT, count=3, stage="senior")
    assert hash(changed) == hash(replace(ALERT, count=3, stage="senior"))
    assert before == ALERT


def test_a_field_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError, match="Alert has no field 'cuont'"):
        unchecked_copy(ALERT, cuont=3)
