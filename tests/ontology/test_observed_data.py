"""What visitors left is bounded where the record is made, so also where it arrives."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from ontology.observed_data import MAX_TEXT, MAX_VALUES, ObservedData


def observed(**values: Any) -> ObservedData:
    common: dict[str, Any] = {
        "id": "urn:uuid:1",
        "source": ip_address("192.0.2.66"),
        "target": None,
        "observed_port": 22,
        "begin_us": 0,
        "end_us": 1,
        "verified_source": True,
        "sensor": "s",
        "input_kind": "cowrie",
    }
    return ObservedData(**(common | values))


def test_the_bounds_are_reached() -> None:
    many = tuple(f"{number:0{MAX_TEXT}}" for number in range(MAX_VALUES))
    assert len(observed(commands=many).commands) == MAX_VALUES


@pytest.mark.parametrize(
    "values",
    [
        {"commands": ("x",) * MAX_VALUES, "urls": ("y",)},
        {"credentials": ("x" * (MAX_TEXT + 1),)},
        {"clients": ("a\nb",)},
        {"file_hashes": ("\ud800",)},
        {"observed_port": 65536},
        {"begin_us": -1},
    ],
)
def test_beyond_them_there_is_no_record(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        observed(**values)
