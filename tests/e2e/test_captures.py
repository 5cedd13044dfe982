"""Captures through sensor and analyzer cores: the shipped samples, and real ones from elsewhere."""

from __future__ import annotations

import csv
import os
import re
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.analyzer.clustering import FAMILY
from agents.analyzer.core import AnalyzerCore, load_model
from agents.commands.train import connection_batches
from datasets.recipe.traffic import NORMAL, SAMPLES, read_manifest
from ontology.records import Alert

PCAPS = Path(os.environ.get("ONTOIDPS_DATA", "")) / "pcaps"
TRUTH = PCAPS / "GROUND_TRUTH.tsv"
ACTIONABLE = 0.5
"""Alerts below this confidence are no ground for a decision."""

# The truth's own words, to the classes that would be right.
MEANINGS = (
    (r"connect scan", {"ConnectScan"}),
    (r"FIN scan", {"FinScan"}),
    (r"XMAS scan", {"XmasScan"}),
    (r"version scan", {"VersionScan"}),
    (r"ping sweep -> TCP/UDP", {"IcmpSweep", "SynScan", "UdpScan"}),
    (r"UDP scan", {"UdpScan"}),
    (r"ICMP host sweep", {"IcmpSweep"}),
    (r"SYN (port )?scan", {"SynScan"}),
    (r"FTP brute force", {"FtpBruteForce"}),
    (r"SSH password guessing", {"SshBruteForce"}),
    (r"SYN flood", {"SynFlood"}),
    (r"DNS amplification", {"AmplificationFlood"}),
    (r"SQL injection", {"SqlInjection"}),
    (r"RCE probes", {"CommandInjection", "PathTraversal"}),
    (r"XSS", {"CrossSiteScripting"}),
)


@cache
def alerts_of(path: Path) -> tuple[Alert, ...]:
    core = AnalyzerCore(load_model(), analyzer="analyzer")
    own: list[Alert] = []
    found = [a for b in connection_batches(path, alerts=own) for a in core.on_batch(b)]
    return (*found, *own)


@cache
def truth() -> list[dict[str, str]]:
    if not os.environ.get("ONTOIDPS_DATA") or not TRUTH.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with pcaps/GROUND_TRUTH.tsv")
    with TRUTH.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def actionable(alerts: tuple[Alert, ...]) -> list[Alert]:
    return [a for a in alerts if a.confidence >= ACTIONABLE and a.classification in FAMILY]


@pytest.mark.parametrize("sample", read_manifest(SAMPLES), ids=lambda s: s.file.partition(".")[0])
def test_shipped_samples(sample):  # type: ignore[no-untyped-def]
    """The samples trained the clusters, so this tests detectors and plumbing, not generality."""
    found = alerts_of(SAMPLES / sample.file)
    if sample.label == NORMAL:
        assert actionable(found) == []
        return
    right = [a for a in found if a.classification == sample.label]
    assert right, {a.classification for a in found}
    expected = set(sample.attackers) or {None}
    assert {a.source for a in right} <= expected
    family = {FAMILY[a.classification] for a in actionable(found)}
    # The trusted host is silenced before somebody logs in in its name.
    assert family <= {FAMILY[sample.label], "Flood" if sample.label == "SpoofedLogin" else ""}


@pytest.mark.data
def test_every_attack_names_attacker_and_class() -> None:
    missed = []
    for row in truth():
        meaning = next((kinds for text, kinds in MEANINGS if re.search(text, row["attack"])), None)
        if meaning is None:
            continue
        attacker = None
        if re.fullmatch(r"[0-9.]+", row["attacker"]):
            attacker = ip_address(row["attacker"])
        found = {
            a.classification
            for a in actionable(alerts_of(PCAPS / row["file"]))
            if a.source == attacker
        }
        if not meaning & found or ("->" in row["attack"] and not meaning <= found):
            missed.append(f"{row['file']}: {row['attack']} by {attacker}, found {sorted(found)}")
    assert not missed, "\n".join(missed)


@pytest.mark.data
def test_attackers_alone_are_accused() -> None:
    """No victim, and nobody else, is the source of an actionable alert in an attack capture."""
    wrong = []
    for row in truth():
        if not re.fullmatch(r"[0-9.]+", row["attacker"]):
            continue
        attacker = ip_address(row["attacker"])
        wrong += [
            f"{row['file']}: {a.classification} from {a.source}: {a.explanation}"
            for a in actionable(alerts_of(PCAPS / row["file"]))
            if a.source not in (attacker, None)
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.data
def test_benign_captures_stay_quiet() -> None:
    benign = [row["file"] for row in truth() if row["attack"].startswith(("none", "normal"))]
    assert len(benign) >= 9
    noisy = [
        f"{name}: {alert.classification} {alert.explanation}"
        for name in benign
        for alert in actionable(alerts_of(PCAPS / name))[:1]
    ]
    assert len(noisy) <= 2, "\n".join(noisy)


def test_a_captured_flood_of_forged_sources_is_a_handful_of_alerts() -> None:
    """37,841 SYNs of 37,668 random addresses, at what is a honeypot here: each made an alert."""
    (row,) = (r for r in truth() if r["attack"] == "SYN flood, spoofed")
    victim = "10.10.10.10"
    core = AnalyzerCore(load_model(), analyzer="analyzer", honeypots=[ip_address(victim)])
    path = TRUTH.parent / row["file"]
    found = [a for batch in connection_batches(path, alerts=[]) for a in core.on_batch(batch)]
    assert len(found) < 100
    assert not any(a.verified_source for a in found)
    crowd = max((a for a in found if a.source is None), key=lambda a: a.source_count)
    assert str(crowd.target) == victim and crowd.source_count > 20_000
