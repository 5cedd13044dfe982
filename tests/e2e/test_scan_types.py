"""Every scan type of nmap, as recorded in the shipped samples; and one of them slowed down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.analyzer.core import AnalyzerCore, load_model
from agents.commands.train import connection_batches
from agents.sensor.core import SensorCore
from agents.sensor.flows.decode import decode
from datasets.captures.pcap import RawPackets, read_capture
from datasets.recipe.traffic import SAMPLES, Sample, read_manifest
from ontology.records import Alert

TYPES = {
    "-sS": "SynScan",
    "-sT": "ConnectScan",
    "-sF": "FinScan",
    "-sN": "NullScan",
    "-sX": "XmasScan",
    "-sA": "AckScan",
    "-sW": "AckScan",  # the same packets: only the scanner reads the answers' windows
    "-sM": "MaimonScan",
    "-sU": "UdpScan",
    "-sO": "ProtocolScan",
    "-sV": "VersionScan",
    "-sI": "IdleScan",
}
ZOMBIE = "192.0.2.20"


def sample_of(option: str) -> Sample:
    """The one that scans ports of one host."""
    return next(
        s
        for s in read_manifest(SAMPLES)
        if s.command.startswith("nmap") and option in s.command.split() and "/" not in s.victim
    )


def alerts_of(sample: Sample) -> list[Alert]:
    core = AnalyzerCore(load_model(), analyzer="analyzer")
    return [a for b in connection_batches(SAMPLES / sample.file) for a in core.on_batch(b)]


@pytest.mark.parametrize(("option", "kind"), TYPES.items(), ids=lambda value: value)
def test_nmap(option: str, kind: str) -> None:
    sample = sample_of(option)
    [attacker] = sample.attackers
    found = alerts_of(sample)
    right = [a for a in found if (a.classification, a.source) == (kind, attacker)]
    assert str(right[-1].target) == sample.victim
    assert right[-1].confidence >= 0.5
    if option == "-sI":
        assert not any(a.verified_source for a in found)
        named = {str(a.target) for a in found if (a.classification, a.source) == (kind, attacker)}
        assert named == {sample.victim, ZOMBIE}


def slowed(sample: Sample, ports: int, pause_us: int) -> RawPackets:
    """The packets of the first ``ports`` connections, one connection every ``pause_us``."""
    [raw] = read_capture(SAMPLES / sample.file, block_bytes=1 << 24)
    packets = decode(raw)
    low = np.minimum(packets.src_port, packets.dst_port).astype(np.int64)
    times = raw.times_us.copy()
    kept = np.zeros(len(times), bool)
    wanted, first = np.unique(low[(low > 0) & (low < 1024)], return_index=True)
    for number, port in enumerate(wanted[np.argsort(first)][:ports].tolist()):
        own = packets.index[low == port]
        times[own] += number * pause_us - (times[own[0]] - times[0])
        kept[own] = True
    order = np.flatnonzero(kept)[np.argsort(times[kept], kind="stable")]
    chosen = {
        name: getattr(raw, name)[order]
        for name in raw.__dataclass_fields__
        if isinstance(getattr(raw, name), np.ndarray) and len(getattr(raw, name)) == len(times)
    }
    return replace(raw, **{**chosen, "times_us": times[order]})


def test_a_real_scan_of_one_port_in_five_minutes() -> None:
    """nmap's own packets (as of ``-T0``), with eight hours between first and last."""
    sample = sample_of("-sS")
    sensor = SensorCore("replay", repeatable=True)
    core = AnalyzerCore(load_model(), analyzer="analyzer")
    raw = slowed(sample, 96, 300_000_000)
    found: list[Alert] = []
    sensor.on_packets(raw)
    for batch in sensor.take_batches(sensor.last_us, final=True):
        rows = batch.connections
        for row in range(len(rows)):
            found += core.on_batch(replace(batch, connections=rows[row : row + 1]))
    slow = [a for a in found if a.classification == "SlowPortScan"]
    assert {(a.source, str(a.target)) for a in slow} == {(sample.attackers[0], sample.victim)}
    assert slow[-1].end_us - slow[-1].begin_us > 7 * 3600 * 1_000_000
    assert not any(a.classification == "SynScan" for a in found)
