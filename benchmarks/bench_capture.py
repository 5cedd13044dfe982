"""Live: a ring in a network namespace, tcpreplay at the other end, records and labels included.

    python benchmarks/bench_capture.py [--pps N] [--seconds N] [--workers N] [--json]   (as root)

The mixture of `bench_packets` goes over a veth pair into the sensor's own threads (`Sources`:
ring, queue, decoder, flow table, payload look-up); ten times a second what is due goes to another
process, which computes the features of each connection and its cluster, as the analyzer does.
XMPP between the two is not measured here (`bench_messages`), detectors neither.

Beside it, in the same run, scapy's `sniff` takes the same traffic at a rate of its own. Printed are
packets offered and seen, lost in the kernel, and CPU seconds of sensor and analyzer.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from bench_packets import generate

_CLONE_NEWNET = 0x40000000
_LENGTH = struct.Struct("<I")
_SNIFF = """
import json, sys, time
from scapy.all import sniff
seen, first, last = 0, 0.0, 0.0
def count(packet):
    global seen, first, last
    last = time.monotonic()
    first = first or last
    seen += 1
print("ready", flush=True)
sniff(iface=sys.argv[1], prn=count, store=False, timeout=float(sys.argv[2]))
print(json.dumps({"seen": seen, "busy": last - first}), flush=True)
"""


def _peak_kib() -> int:
    # Not ru_maxrss: that begins with the parent's.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def make_wire() -> None:
    """A namespace for this process with a0 -- b0 in it; nothing but ours speaks on it."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace")
    _ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
    for name in ("a0", "b0"):
        _ip("link", "set", name, "addrgenmode", "none")
        _ip("link", "set", name, "up")


def start_replay(capture: Path, pps: int, seconds: float) -> subprocess.Popen[str]:
    # A loop is a second or more: a limit of packets ends it, not a number of loops.
    return subprocess.Popen(
        [
            "tcpreplay",
            "--intf1=a0",
            f"--pps={pps}",
            # Packets sent between two looks at the clock: one at a time, the clock is the limit.
            "--pps-multi=20",
            "--preload-pcap",
            "--loop=0",
            f"--limit={int(pps * seconds)}",
            "--quiet",
            str(capture),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sent(replay: subprocess.Popen[str]) -> tuple[int, float]:
    """(packets, seconds) that tcpreplay says."""
    out, _ = replay.communicate()
    found = re.search(r"Actual: (\d+) packets .* sent in ([\d.]+) seconds", out)
    if found is None:
        raise RuntimeError(f"tcpreplay: {out.strip().splitlines()[-1:]}")
    return int(found[1]), float(found[2])


def run_ours(
    capture: Path, pps: int, seconds: float, workers: int, ring_mib: int
) -> dict[str, Any]:
    from agents.sensor.capture.packet_sources import Sources
    from agents.settings.honeynet import Node

    node = Node.model_validate(
        {
            "name": "bench",
            "agents": ["sensor", "analyzer"],
            "interfaces": ["b0"],
            "sides": {"b0": "tap"},  # both directions are replayed into it
            "capture_workers": workers,
            "capture_ring_mib": ring_mib,
        }
    )
    analyzer = subprocess.Popen(
        [sys.executable, __file__, "--analyzer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert analyzer.stdin is not None
    sources = Sources(node, "sensor.bench@localhost")
    sources.start()
    while not sources.capturing:
        time.sleep(0.05)
    before = time.process_time()
    replay = start_replay(capture, pps, seconds)
    while replay.poll() is None:
        time.sleep(0.1)
        _send(analyzer.stdin, sources.take())
    count, took = sent(replay)
    time.sleep(0.5)
    _send(analyzer.stdin, sources.stop())
    sensor_cpu = time.process_time() - before
    out, _ = analyzer.communicate()
    counters = sources.counters()
    return {
        "offered": count,
        "offered_per_second": round(count / took),
        "seconds": round(took, 2),
        "seen": counters["packets"],
        "kernel_drops": sum(n for name, n in counters.items() if name.endswith(".dropped")),
        "overrun": sum(n for name, n in counters.items() if name.endswith(".overrun")),
        "malformed": counters["malformed"],
        "connections": counters["connections"],
        "sensor_cpu_seconds": round(sensor_cpu, 2),
        "sensor_peak_mib": _peak_kib() >> 10,
        **json.loads(out),
    }


def _send(pipe: BinaryIO | Any, batches: list[Any]) -> None:
    for batch in batches:
        rows = batch.connections.tobytes()
        pipe.write(_LENGTH.pack(len(rows)) + rows)
    pipe.flush()


def analyze() -> int:
    """The other process: connections on stdin, their clusters counted on stdout."""
    from threadpoolctl import threadpool_limits

    from agents.analyzer.core import load_model
    from agents.analyzer.features import FeatureExtractor
    from ontology.records import CONNECTION

    model, extractor = load_model(), FeatureExtractor()
    clusters = np.zeros(len(model.labels), np.int64)
    before = time.process_time()
    with threadpool_limits(1):
        while head := sys.stdin.buffer.read(_LENGTH.size):
            rows = np.frombuffer(sys.stdin.buffer.read(*_LENGTH.unpack(head)), CONNECTION)
            if len(rows):
                found = model.assign(extractor.extract(rows)).cluster
                clusters += np.bincount(found, minlength=len(clusters))
    print(
        json.dumps(
            {
                "labelled": int(clusters.sum()),
                "clusters": int((clusters > 0).sum()),
                "analyzer_cpu_seconds": round(time.process_time() - before, 2),
            }
        )
    )
    return 0


def run_scapy(capture: Path, pps: int, seconds: float) -> dict[str, Any]:
    sniffer = subprocess.Popen(
        [sys.executable, "-c", _SNIFF, "b0", str(seconds * 3 + 2)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sniffer.stdout is not None
    sniffer.stdout.readline()
    time.sleep(0.5)
    count, took = sent(start_replay(capture, pps, seconds))
    result = json.loads(sniffer.communicate()[0])
    return {
        "offered": count,
        "offered_per_second": round(count / took),
        "seen": result["seen"],
        "lost": count - result["seen"],
        "per_second": round(result["seen"] / max(result["busy"], 1e-9)),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pps", type=int, default=200_000, help="packets offered each second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1, help="rings that share the interface")
    parser.add_argument("--ring-mib", type=int, default=64, help="capture_ring_mib of the node")
    parser.add_argument("--scapy-pps", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--analyzer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.analyzer:
        return analyze()
    if os.geteuid() != 0:
        print("bench_capture: needs root to make a network namespace; not measured")
        return 0
    make_wire()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder, "mixture")
        generate(capture, 400_000)
        run_ours(capture, 20_000, 1.0, 1, 16)  # imports, the first allocations, the file in memory
        results = {
            "ours": run_ours(
                capture, arguments.pps, arguments.seconds, arguments.workers, arguments.ring_mib
            ),
            "scapy": run_scapy(capture, arguments.scapy_pps, 5.0),
        }
    if arguments.json:
        print(json.dumps(results))
        return 0
    for name, result in results.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in result.items()))
    ours, scapys = results["ours"], results["scapy"]
    print(f"ratio of packets a second: {ours['offered_per_second'] / scapys['per_second']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
