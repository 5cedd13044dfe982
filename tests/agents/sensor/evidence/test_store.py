"""Citations on disk: bounds, and how an alert finds its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.sensor.evidence import store as store_module
from agents.sensor.evidence.citations import Citation, Ends, Frame, cite
from agents.sensor.evidence.store import NEAR_US, EvidenceStore
from ontology.records import Alert

S = 1_000_000
T0 = 1_700_000_000 * S


def raw(address: str) -> bytes:
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def citation(
    number: int = 0,
    *,
    source: str = "192.0.2.7",
    at_us: int = T0,
    signature: str = "urn:s:1",
    proven: bool = True,
    size: int = 100,
) -> Citation:
    ends = Ends(6, raw(source), 40000, raw("198.51.100.5"), 80)
    # Bytes that no compression makes small.
    data = b"".join((abs(number) * 7919 + n * n).to_bytes(8, "big") for n in range(size // 8))
    frame = Frame(data=data, time_us=at_us, wire_length=size)
    return cite(ends, frame, [], link_type=1, signature=signature, proven=proven)


def alert(**changes: Any) -> Alert:
    made = Alert(
        id="urn:uuid:1",
        classification="WebAttack",
        source=ip_address("192.0.2.7"),
        target=ip_address("198.51.100.5"),
        target_port=80,
        protocol=6,
        begin_us=T0,
        end_us=T0 + S,
        confidence=0.5,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
        signatures=("urn:s:1",),
    )
    return replace(made, **changes)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EvidenceStore]:
    with closing(EvidenceStore(tmp_path / "evidence.sqlite3")) as made:
        yield made


def test_what_was_kept_is_found_again_also_after_a_restart(tmp_path: Path) -> None:
    one = citation(3)
    with closing(EvidenceStore(tmp_path / "e.sqlite3")) as store:
        store.add([one])
    with closing(EvidenceStore(tmp_path / "e.sqlite3")) as store:
        found = store.find(alert())
    assert found is not None
    assert (found.frame, found.capture, found.link_type) == (one.cited.data, one.capture, 1)
    assert (found.packets, found.cited, found.omitted) == (1, 1, 0)


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({}, True),
        ({"source": None, "sources": (ip_address("192.0.2.7"),)}, True),
        ({"source": None, "target": None}, True),
        ({"signatures": ("urn:s:0", "urn:s:1")}, True),
        ({"signatures": ("urn:s:2",)}, False),
        ({"signatures": ()}, False),  # what was counted, not what a rule matched
        ({"target_port": 443}, False),
        ({"source": ip_address("2001:db8::7")}, False),
        ({"begin_us": T0 + NEAR_US, "end_us": T0 + NEAR_US}, True),  # told again a little later
        ({"begin_us": T0 + NEAR_US + 1, "end_us": T0 + NEAR_US + 1}, False),
        ({"begin_us": T0 - 9 * S, "end_us": T0 - 2 * S}, False),
    ],
)
def test_an_alert_finds_what_it_speaks_of(
    store: EvidenceStore, changes: dict[str, Any], there: bool
) -> None:
    store.add([citation()])
    assert (store.find(alert(**changes)) is not None) is there


def test_of_several_the_first_in_its_time_counts(store: EvidenceStore) -> None:
    store.add([citation(n, at_us=T0 + n * S) for n in (-3, 0, 1, 2)])
    found = store.find(alert(end_us=T0 + 9 * S))
    assert found is not None and found.frame == citation(0).cited.data
    found = store.find(alert(begin_us=T0 + 3 * S, end_us=T0 + 9 * S))
    assert found is not None and found.frame == citation(2).cited.data


def test_rows_are_bounded_and_what_proves_nothing_pushes_out_its_own_kind(
    store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add([citation(source="192.0.2.250")])
    many = [
        citation(n, source=f"10.{n >> 8}.{n & 255}.1", proven=False, signature="urn:s:9")
        for n in range(store_module.MAX_UNPROVEN + 500)
    ]
    store.add(many)
    assert len(store) <= store_module.MAX_UNPROVEN + 1 and store.dropped >= 500
    assert store.find(alert(source=ip_address("192.0.2.250"))) is not None
    first, last = alert(signatures=("urn:s:9",), source=ip_address("10.0.0.1")), many[-1]
    assert store.find(first) is None
    assert store.find(replace(first, source=last.ends.addresses[0])) is not None


def test_bytes_are_bounded_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "small.sqlite3"
    with closing(EvidenceStore(path, size_bytes=2 << 20)) as store:
        for n in range(1_000):
            store.add([citation(n, source=f"10.0.{n >> 8}.{n & 255}", size=8_000)])
        assert store.dropped > 0 and 0 < len(store) < 1_000
        newest = alert(source=ip_address("10.0.3.231"))
        assert store.find(newest) is not None
    assert path.stat().st_size <= 3 << 20


def test_one_source_has_its_share(store: EvidenceStore) -> None:
    store.add([citation(source="203.0.113.1")])
    store.add([citation(n, at_us=T0 + n) for n in range(store_module.MAX_PER_HOST + 50)])
    assert len(store) == store_module.MAX_PER_HOST + 1
    assert store.find(alert(source=ip_address("203.0.113.1"))) is not None
