from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from datasets.captures.pcap import read_capture
from datasets.laboratory.network import why_unavailable
from datasets.recipe.traffic import NORMAL, SAMPLES, SCENARIOS, Sample, read_manifest

TOOLS = [tool for tool in ("nmap", "tcpdump", "hydra", "hping3") if shutil.which(tool) is None]


def test_the_manifest_describes_the_shipped_captures() -> None:
    samples = read_manifest(SAMPLES)
    assert {s.file for s in samples} == {p.name for p in SAMPLES.glob("*.pcap.xz")}
    for sample in samples:
        assert hashlib.sha256((SAMPLES / sample.file).read_bytes()).hexdigest() == sample.sha256
        assert (sample.label == NORMAL) == (sample.attacker == "")
    assert sum((SAMPLES / s.file).stat().st_size for s in samples) < 3_000_000


def test_the_shipped_captures_were_made_by_this_recipe() -> None:
    made = {s.file.removesuffix(".pcap.xz"): s for s in read_manifest(SAMPLES)}
    for scenario in SCENARIOS:
        sample = made.pop(scenario.name)
        assert (sample.label, sample.victim) == (scenario.label, scenario.victim)
        assert sample.command == scenario.command
    assert not made


def test_every_capture_can_be_read() -> None:
    for sample in read_manifest(SAMPLES):
        assert sum(len(raw) for raw in read_capture(SAMPLES / sample.file)) > 5, sample.file


def test_attackers_are_addresses_and_forged_ones_none() -> None:
    sample = Sample("f", "SynScan", "192.0.2.1,2001:db8::1", "192.0.2.2", "", "")
    assert sample.attackers == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert Sample("f", "SynFlood", "*", "192.0.2.2", "", "").attackers == ()


@pytest.mark.root
@pytest.mark.skipif(why_unavailable() is not None, reason=f"no laboratory: {why_unavailable()}")
@pytest.mark.skipif(bool(TOOLS), reason=f"missing tools: {', '.join(TOOLS)}")
def test_the_recipe_works(tmp_path: Path) -> None:
    """Two scenarios, as a user would run them."""
    names = ("benign-mistakes", "syn-scan-fast")
    command = [sys.executable, "-m", "datasets.recipe.traffic", str(tmp_path)]
    command += [f"--only={name}" for name in names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    samples = read_manifest(tmp_path)
    assert [s.file for s in samples] == [f"{name}.pcap.xz" for name in names]
    assert sum(len(raw) for raw in read_capture(tmp_path / samples[1].file)) > 600
    assert not (tmp_path / ".scratch").exists()
