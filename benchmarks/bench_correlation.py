"""Alerts a second through ontology and correlation, on the logs of Scan of the Month 34.

``ONTOIDPS_DATA=… python benchmarks/bench_correlation.py [--lines N]`` reads its Snort log (alerts)
and its firewall log (scans that the analyzer finds) with the syslog input, in order of time, and
takes every alert the way of a running system: written as an OWL fragment and read back, fused,
windowed, inferred by Pellet, turned into incidents and decisions.

Alerts are handed over in batches of `BATCH`. The queue is what would wait if alerts came at
`RATE` a second without a pause: each batch takes as long as it was measured to take.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

from bench_reasoner import cpu_s

from agents.analyzer.core import AnalyzerCore, load_model
from agents.correlation.engine import CorrelationEngine
from agents.correlation.reasoner_thread import ReasonerThread
from agents.knowledge.load import find_joins, load_theory
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from agents.settings.honeynet import Policy
from ontology.fragments import decode, encode
from ontology.reasoner.client import PelletWorker
from ontology.records import Address, Alert, ConnectionBatch, HostProfile

ARCHIVE = Path("sotm34") / "Original_SotM34_dataset.tar.gz"
LOGS = ("SotM34/snort/snortsyslog", "SotM34/iptables/iptablesyslog")
HONEYNET = IPv4Network("11.11.79.0/24")
NOW_US = round(datetime(2005, 4, 30, tzinfo=UTC).timestamp()) * 1_000_000
"""The lines name no year."""
RATE = 500
BATCH = 100
LINES = 200
"""Lines read at a time."""


def lines_of(path: Path, name: str) -> list[bytes]:
    """The log as it is in the archive."""
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        if file is None:
            raise SystemExit(f"{path}: {name} is no file")
        return file.read().splitlines()


def alerts_of(name: str, lines: list[bytes], analyzer: AnalyzerCore) -> Iterator[Alert]:
    """What the syslog input and the analyzer make of a log."""
    pots = frozenset[Address](HONEYNET.hosts())
    intake = Intake(make_parser("syslog", Options(honeypots=pots)), sensor="sotm34")
    for begin in range(0, len(lines), LINES):
        for record in intake.on_lines(lines[begin : begin + LINES], f"{name} {begin}", NOW_US):
            if isinstance(record, Alert):
                yield record
            elif isinstance(record, ConnectionBatch):
                yield from analyzer.on_batch(record)


def _spent(worker: PelletWorker) -> dict[int, float]:
    """CPU seconds so far, by process id; 0 is this process."""
    pid, own = worker.pid, cpu_s()
    return {0: own} | ({pid: cpu_s(pid) - own} if pid else {})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lines", type=int, default=None, help="lines of each log (default: all)")
    arguments = parser.parse_args()
    path = Path(os.environ.get("ONTOIDPS_DATA", "")) / ARCHIVE
    if not path.is_file():
        raise SystemExit(f"{path}: not there; ONTOIDPS_DATA must name the folder of data sets")
    analyzer = AnalyzerCore(load_model(), analyzer="analyzer")
    alerts: list[Alert] = []
    read = 0
    for name in LOGS:
        lines = lines_of(path, name)[: arguments.lines]
        read += len(lines)
        alerts += alerts_of(name, lines, analyzer)
    alerts.sort(key=lambda alert: (alert.end_us, alert.id))
    hosts = [
        HostProfile(id=f"urn:ontoidps:profile:{a}", address=a, roles=("Honeypot",))
        for a in HONEYNET.hosts()
    ]
    with PelletWorker(load_theory()) as worker:
        ahead = ReasonerThread(worker)
        core = CorrelationEngine(
            hosts,
            Policy(),
            origin="correlation@bench",
            reasoner=worker,
            submit=ahead.submit,
            joins=find_joins(worker.theory),
            reads=worker.theory.reads,
        )
        waits, queue, incidents, handled = list[float](), [0.0], 0, 0
        cpu, spent = 0.0, _spent(worker)
        begin = time.perf_counter()
        for start in range(0, len(alerts), BATCH):
            # An analyzer reports a finding that grows again, under its id: the latest word counts.
            batch = list({a.id: a for a in alerts[start : start + BATCH]}.values())
            since = time.perf_counter()
            taken = [r for r in decode(encode(batch)) if isinstance(r, Alert)]
            out = core.on_alerts(taken, max(a.end_us for a in taken))
            took = time.perf_counter() - since
            waits.append(took)
            handled += len(batch)
            # What came while this batch was worked on, less what was waiting for it.
            queue.append(max(0.0, queue[-1] + took * RATE - len(batch)))
            incidents += len(out)
            before, spent = spent, _spent(worker)
            # A worker that was started anew has a clock of its own.
            cpu += sum(max(0.0, spent[p] - before.get(p, 0.0)) for p in spent)
        seconds = time.perf_counter() - begin
        ahead.close()
        seen = worker.counters
        print(f"{read} lines, {len(alerts)} alerts of {sum(a.count for a in alerts)} events")
        print(
            f"{handled / seconds:.0f} alerts/s by the clock ({seconds:.1f} s, load "
            f"{os.getloadavg()[0]:.1f}), {handled / cpu:.0f} per CPU second; batch of {BATCH}: "
            f"median {1000 * statistics.median(waits):.0f} ms, p95 "
            f"{1000 * sorted(waits)[int(0.95 * len(waits))]:.0f} ms, most "
            f"{1000 * max(waits):.0f} ms"
        )
        quarters = [queue[len(queue) * k // 4 : len(queue) * (k + 1) // 4] for k in range(4)]
        print(
            f"queue at {RATE} alerts/s, most in each quarter: "
            + ", ".join(f"{max(part, default=0.0):.0f}" for part in quarters)
            + f"; at the end {queue[-1]:.0f}"
        )
        fused = core.counters["senior"] - core.counters["repeats"]
        print(
            f"{fused} new or changed after fusion, of which {core.counters['spared']} "
            f"({core.counters['spared'] / max(1, fused):.1%}) are of classes that no rule can use; "
            f"{seen['windows']} windows held {seen['window_alerts']} alerts, context included; "
            f"{seen['alerts_reached']} of them reached Pellet in {seen['parts']} parts "
            f"({seen['alerts_reached'] / max(1, fused):.1%} of those fused, "
            f"{seen['alerts_reached'] / max(1, seen['window_alerts']):.1%} of those in windows); "
            f"{incidents} incidents, {core.counters['decisions']} decisions; "
            f"{core.counters['left_out']} context alerts left out, "
            f"{core.counters['failed_windows']} windows failed, "
            f"{core.counters['quarantined']} alerts quarantined"
        )


if __name__ == "__main__":
    main()
