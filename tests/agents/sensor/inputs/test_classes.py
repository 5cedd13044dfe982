"""The table of other tools' words."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import pytest

from agents.sensor.inputs.classes import Classes, ClassesError, shipped

DATA = Path(os.environ.get("ONTOIDPS_DATA", ""))


def test_longest_beginning_wins_and_comes_before_the_category() -> None:
    table = Classes(
        "message\tET SCAN \tScan\t0.5\t0.6\tsource\n"
        "message\tET SCAN Potential SSH\tSshBruteForce\t0.5\t0.6\tsource\n"
        "category\tMisc Attack\tExploit\t0.5\t0.6\tsource\n"
    )
    for message, expected in (
        ("et scan potential ssh Scan", "SshBruteForce"),
        ("ET SCAN other", "Scan"),
        ("something else", "Exploit"),
    ):
        found = table.alert(message, "misc attack")
        assert found is not None
        assert found.classification == expected
    assert table.alert("unheard of", "unheard of") is None


@pytest.mark.parametrize(
    "line",
    [
        "category\tx\tNoSuchAttack\t0.5\t0.6\tsource",
        "category\tx\tScan\t1.5\t0.6\tsource",
        "category\tx\tScan\tnan\t0.6\tsource",
        "category\tx\tScan\thigh\t0.6\tsource",
        "category\tx\tScan\t0.5\t0.6\tnobody",
        "class\tx\tScan\t0.5\t0.6\tsource",
        "category\tx\tScan",
    ],
)
def test_a_bad_line_is_refused_by_number(line: str) -> None:
    with pytest.raises(ClassesError, match="line 2"):
        Classes("# a comment\n" + line)


def test_at_a_honeypot_nothing_is_worth_less() -> None:
    table = shipped()
    every = [*table._whole.values(), *(meaning for _, meaning in table._messages)]
    assert len(every) > 60
    assert all(m.at_honeypot >= m.confidence for m in every)


@pytest.mark.data
def test_snorts_own_categories_are_all_known() -> None:
    path = DATA / "rules" / "snort2_gpl" / "classification.config"
    if not os.environ.get("ONTOIDPS_DATA") or not path.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with rules")
    words = [
        line.split(",")[1]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("config classification:")
    ]
    assert len(words) == 38
    unknown = [w for w in words if shipped().alert("no such message", w) is None]
    assert unknown == ["Senstive Data"]  # so spelt there; not about attacks


@pytest.mark.data
def test_ait_suricata_names() -> None:
    """AIT's set keeps only the messages of Suricata's alerts: no addresses, no category."""
    folder = DATA / "alerts-ait"
    if not os.environ.get("ONTOIDPS_DATA") or not folder.is_dir():
        pytest.skip("ONTOIDPS_DATA names no folder with alerts-ait")
    scans = []
    for path in sorted(folder.glob("*_alerts.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name = row["name"].removeprefix("Suricata: Alert - ")
                found = shipped().message(name) if name != row["name"] else None
                if found is not None and found.classification is not None:
                    scans.append((found.classification, name, row["time_label"]))
    assert {c for c, _, _ in scans} == {"Scan"}
    assert all("ET SCAN" in name for _, name, _ in scans)
    assert len(scans) == 29  # 27 nmap user agents, 2 odd SMB connections
