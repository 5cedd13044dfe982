"""Alerts by number, for tests that tell them apart by nothing else."""

from __future__ import annotations

from ontology.records import Alert
from tests.factories import make_alert


def alert(number: int, **more: object) -> Alert:
    """A verified SYN scan of three connections; ``number`` is its id and its time."""
    known: dict[str, object] = {
        "id": f"urn:uuid:{number:032x}",
        "source": "192.0.2.7",
        "begin_us": number,
        "count": 3,
        "verified_source": True,
    }
    return make_alert(**{**known, **more})
