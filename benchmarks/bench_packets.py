"""Capture file to columns, to `ConnectionBatch`, to cluster labels, against scapy's dissection.

    python benchmarks/bench_packets.py [CAPTURE] [--packets N] [--rounds N] [--json]

Without a capture a mixture is generated (seeded), after the traffic that an early prototype
recorded in network namespaces. Of 100 packets about 74 are web sessions (keep-alive, 1 to 10
requests with Host, User-Agent, Accept and Cookie, answers of 1 to 6 segments of up to 1,448 bytes),
9 a SYN scan of all ports with its refusals, 8 a SYN flood from forged addresses, 7 name look-ups,
2 pings; five packets per connection on average. With ONTOIDPS_DATA set, a real capture is measured
as well (HackEire 2011: scans with fewer than two packets per connection, the dearest kind).

Both sides read the same file in the same run, turn by turn; scapy may get a smaller slice of it,
since it is slow, and is then compared by packets per CPU second. The capture is streamed: peak
memory is that of a process of its own, beside that of a mixture four times as long.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from agents.analyzer.core import load_model
from agents.analyzer.features import FeatureExtractor
from agents.sensor.core import SensorCore
from agents.sensor.flows.decode import decode
from datasets.captures.pcap import read_capture, write_capture
from ontology.records import ConnectionBatch

_SCAPY_PACKETS = 20_000
_BLOCK_BYTES = 8 << 20
"""Of the capture in memory at once; what is measured streams, whatever the file's length."""
_REAL = "pcaps/multistep/hackeire2011_c2.pcap"
_SEGMENT = 1448
_NAME = b"\3www\7example\3org\0\0\1\0\1"
_QUESTION = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + _NAME
_ANSWER = (
    b"\x12\x34\x81\x80\0\1\0\1\0\0\0\0" + _NAME + b"\xc0\x0c\0\1\0\1\0\0\1\0\0\4\xc6\x33\x64\7"
)


def _frame(src: int, dst: int, protocol: int, body: bytes) -> bytes:
    ip = (
        struct.pack(
            ">BBHHHBBHII",
            0x45,
            0,
            20 + len(body),
            0,
            0,
            64,
            protocol,
            0,
            0x0A000000 + src,
            0xC6336400 + dst,
        )
        if src >= 0
        else struct.pack(
            ">BBHHHBBHII",
            0x45,
            0,
            20 + len(body),
            0,
            0,
            64,
            protocol,
            0,
            0xC6336400 + dst,
            0x0A000000 - src,
        )
    )
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + body


def _tcp(
    src: int,
    dst: int,
    sport: int,
    dport: int,
    flags: int,
    payload: bytes = b"",
    numbers: tuple[int, int] = (1, 1),
) -> bytes:
    """``numbers``: sequence and acknowledgement, which the sensor follows."""
    seq, ack = (number & 0xFFFFFFFF for number in numbers)
    header = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 8192, 0, 0)
    return _frame(src, dst, 6, header + payload)


class _Talk:
    """Frames of one connection, with the numbers of both ends."""

    def __init__(self, rng: random.Random) -> None:
        self.client, self.server = rng.randrange(1, 5000), rng.randrange(1, 200)
        self.port = rng.randrange(1024, 65536)
        self.numbers = {True: rng.randrange(1 << 32), False: rng.randrange(1 << 32)}
        self.frames: list[bytes] = []

    def send(self, ours: bool, flags: int, payload: bytes = b"") -> None:
        numbers = self.numbers[ours], self.numbers[not ours] if flags & 16 else 0
        self.numbers[ours] += len(payload) + bool(flags & 3)
        ends = (self.client, self.server, self.port, 80)
        if not ours:
            ends = (-self.client, self.server, 80, self.port)
        self.frames.append(_tcp(*ends, flags, payload, numbers))


def _session(rng: random.Random) -> list[bytes]:
    talk = _Talk(rng)
    talk.send(True, 2)
    talk.send(False, 18)
    talk.send(True, 16)
    for turn in range(rng.choice((1, 1, 2, 5, 10))):
        request = (
            b"GET /page%d.html?id=%d HTTP/1.1\r\nHost: example.org\r\n"
            b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0\r\n"
            b"Accept: text/html,*/*;q=0.8\r\nCookie: session=%s\r\n\r\n"
        ) % (turn, talk.client, b"c" * rng.randrange(300))
        talk.send(True, 24, request)
        size = rng.choice((200, 900, 1400, 3000, 8000))
        body = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
        for number, start in enumerate(range(0, len(body), _SEGMENT)):
            talk.send(False, 16, body[start : start + _SEGMENT])
            if number % 2:
                talk.send(True, 16)
        talk.send(True, 16)
    talk.send(True, 17)
    talk.send(False, 17)
    talk.send(True, 16)
    return talk.frames


def generate(path: Path, packets: int, seed: int = 1) -> None:
    """Write a capture of about ``packets`` packets, interleaved as on a busy link."""
    rng = random.Random(seed)  # noqa: S311
    frames: list[bytes] = []
    open_sessions = [_session(rng) for _ in range(200)]
    scan = itertools.count(1)
    while len(frames) < packets:
        choice = rng.random()
        if choice < 0.81:
            number = rng.randrange(len(open_sessions))
            frames.append(open_sessions[number].pop(0))
            if not open_sessions[number]:
                open_sessions[number] = _session(rng)
        elif choice < 0.86:
            port = next(scan) % 65535 + 1
            frames.append(_tcp(6000, 7, 40000, port, 2))
            frames.append(_tcp(-6000, 7, port, 40000, 20))
        elif choice < 0.95:
            frames.append(_tcp(rng.randrange(10_000, 1 << 23), 9, rng.randrange(65536), 80, 2))
        elif choice < 0.99:
            client, port = rng.randrange(1, 5000), rng.randrange(1024, 65536)
            question = struct.pack(">HHHH", port, 53, 8 + len(_QUESTION), 0) + _QUESTION
            answer = struct.pack(">HHHH", 53, port, 8 + len(_ANSWER), 0) + _ANSWER
            frames += [_frame(client, 53, 17, question), _frame(-client, 53, 17, answer)]
        else:
            client, echo = rng.randrange(1, 50), struct.pack(">HHH", 0, 77, 1) + bytes(56)
            frames += [
                _frame(client, 8, 1, b"\x08\0" + echo),
                _frame(-client, 8, 1, bytes(2) + echo),
            ]
    times = [1_700_000_000_000_000 + i * 10 for i in range(len(frames))]
    write_capture(path, frames, times)


def run_decode(path: Path) -> int:
    return sum(decode(raw).total for raw in read_capture(path, block_bytes=_BLOCK_BYTES))


def run_sensor(path: Path) -> int:
    return _run_sensor(path, lambda batches: None)


def run_labels(path: Path) -> int:
    """As the analyzer does it: features of every connection, then the nearest of 25 centres."""
    model, extractor = load_model(), FeatureExtractor()

    def label(batches: list[ConnectionBatch]) -> None:
        for batch in batches:
            model.assign(extractor.extract(batch.connections))

    return _run_sensor(path, label)


def count_connections(path: Path) -> int:
    counts: list[int] = []
    _run_sensor(path, lambda batches: counts.extend(len(b.connections) for b in batches))
    return sum(counts)


def _run_sensor(path: Path, use: Callable[[list[ConnectionBatch]], None]) -> int:
    core = SensorCore("bench", repeatable=True)
    for raw in read_capture(path, block_bytes=_BLOCK_BYTES):
        core.on_packets(raw)
        use(core.take_batches(core.last_us))
    use(core.take_batches(core.last_us, final=True))
    return core.counters["packets"]


def run_scapy(path: Path) -> int:
    from scapy.utils import PcapReader  # its own import takes a second and is not timed

    count = 0
    with PcapReader(str(path)) as reader:
        for packet in itertools.islice(reader, _SCAPY_PACKETS):
            count += len(packet) > 0
    return count


def peak_mib(path: Path) -> int:
    """Peak memory of a process that does nothing but `run_labels`."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", str(path)], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Medians of packets per CPU second and the ratios, after one warm-up of each side."""
    import scapy.all  # noqa: F401  registers the layers, else nothing above Ethernet is dissected

    sides: dict[str, Callable[[Path], int]] = {
        "decode": run_decode,
        "sensor": run_sensor,
        "labels": run_labels,
        "scapy": run_scapy,
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    # One BLAS thread, as the launcher gives every agent: more of them spin, and that is CPU time.
    with threadpool_limits(1):
        for turn in range(rounds + 1):
            for name, side in sides.items():
                begin = time.process_time()
                count = side(path)
                if turn:
                    rates[name].append(count / (time.process_time() - begin))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "packets": run_decode(path),
        "connections": count_connections(path),
        "rounds": rounds,
        "peak_mib": peak_mib(path),
        "packets_per_cpu_second": {name: round(rate) for name, rate in medians.items()},
        "over_scapy": {name: round(rate / medians["scapy"], 1) for name, rate in medians.items()},
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("capture", nargs="?", type=Path)
    parser.add_argument("--packets", type=int, default=400_000, help="of the generated capture")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.peak is not None:
        with threadpool_limits(1):
            run_labels(arguments.peak)
        # Not ru_maxrss: that begins with the parent's.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        print(int(status.partition("VmHWM:")[2].split()[0]) >> 10)
        return 0
    results: dict[str, dict[str, Any]] = {}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [arguments.capture]
        if arguments.capture is None:
            paths = [Path(folder, "mixture")]
            generate(paths[0], arguments.packets)
            longer = Path(folder, "longer")
            generate(longer, arguments.packets * 4)
            peaks["mixture four times as long"] = peak_mib(longer)
            real = Path(os.environ.get("ONTOIDPS_DATA", folder), _REAL)
            paths += [real] if real.is_file() else []
        for path in paths:
            results[path.name] = measure(path, arguments.rounds)
            peaks[path.name] = results[path.name]["peak_mib"]
    if arguments.json:
        print(json.dumps(results | {"peak_mib": peaks}))
        return 0
    for name, result in results.items():
        print(
            f"{name}: {result['packets']} packets, {result['connections']} connections,"
            f" median of {arguments.rounds} rounds"
        )
        print(f"{'capture to':<10} {'packets/CPU s':>14} {'ratio':>7}")
        for side, rate in result["packets_per_cpu_second"].items():
            print(f"{side:<10} {rate:>14} {result['over_scapy'][side]:>7.1f}")
    print("peak memory of labels: " + ", ".join(f"{name} {mib} MiB" for name, mib in peaks.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
