"""The bounds of what a sensor hands out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ontology.packet_evidence import MAX_CAPTURE, MAX_DISSECTION, PacketEvidence

EVIDENCE = PacketEvidence(
    id="urn:uuid:1",
    alert="urn:uuid:2",
    evidence_packets=3,
    cited_packet=2,
    omitted_packets=0,
    dissection="###[ IP ]###",
    capture_data="",
    explanation="3 packets",
)


def test_the_largest_still_fits_into_a_message() -> None:
    from ontology.fragments import decode, encode

    whole = replace(
        EVIDENCE,
        dissection="#" * MAX_DISSECTION,
        capture_data="A" * ((MAX_CAPTURE + 2) // 3 * 4),
    )
    assert decode(encode([whole])) == (whole,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cited_packet": 4},
        {"cited_packet": -1},
        {"omitted_packets": -1},
        {"dissection": "#" * (MAX_DISSECTION + 1)},
        {"capture_data": "A" * (MAX_CAPTURE * 2)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_is_beyond_the_bounds_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(EVIDENCE, **wrong)  # type: ignore[arg-type]
