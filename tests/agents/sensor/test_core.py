"""The sensor as a whole: batches, their counts, and the captures of known content."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
import pytest

from agents.sensor.core import BATCH_CONNECTIONS, COUNTS_ONLY_US, SensorCore
from benchmarks.bench_packets import _frame, generate
from datasets.captures.pcap import RawPackets, read_capture, write_capture
from ontology.fragments import MAX_BYTES, encode
from ontology.records import CONNECTION, CONNECTION_STATES, INDICATORS, ConnectionBatch
from tests.e2e.forger import RAW_IP, Packet, World
from tests.factories import make_batch


def replay(path: Path, core: SensorCore, block_bytes: int = 1 << 16) -> list[ConnectionBatch]:
    batches = []
    for raw in read_capture(path, block_bytes=block_bytes):
        core.on_packets(raw)
        batches += core.take_batches(core.last_us)
    return batches + core.take_batches(core.last_us, final=True)


def connections(path: Path, *, one_sided: bool = False) -> np.ndarray:
    core = SensorCore("s", one_sided=one_sided)
    return np.concatenate([b.connections for b in replay(path, core)])


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    path = tmp_path / "mix.pcap"
    generate(path, 20_000)
    return path


def test_every_packet_is_in_some_connection_and_in_the_counts(mixture: Path) -> None:
    batches = replay(mixture, SensorCore("s"))
    rows = np.concatenate([b.connections for b in batches])
    assert sum(b.packets for b in batches) == 20_000 or sum(b.packets for b in batches) == 20_001
    assert int((rows["orig_packets"] + rows["resp_packets"]).sum()) == sum(
        b.packets for b in batches
    )
    assert all(b.connections.dtype == CONNECTION for b in batches)
    assert all(len(b.connections) <= BATCH_CONNECTIONS for b in batches)


def test_replay_is_repeatable_also_in_its_ids(mixture: Path) -> None:
    first = replay(mixture, SensorCore("s", repeatable=True))
    assert first == replay(mixture, SensorCore("s", repeatable=True))
    assert len({b.id for b in first}) == len(first)
    other = replay(mixture, SensorCore("t", repeatable=True))
    assert {b.id for b in first}.isdisjoint(b.id for b in other)


def test_block_size_does_not_change_the_connections(mixture: Path) -> None:
    def all_of(block_bytes: int) -> list[bytes]:
        batches = replay(mixture, SensorCore("s"), block_bytes)
        return sorted(row.tobytes() for b in batches for row in b.connections)

    assert all_of(1 << 13) == all_of(1 << 24)


def test_no_batch_holds_what_is_a_minute_apart(tmp_path: Path) -> None:
    """A detector looks at its windows once a batch: hours in one would hide what came before."""
    frames = [_frame(1, 2, 17, struct.pack(">HHHH", n, 53, 8, 0)) for n in range(1000, 1006)]
    starts = [0, 1, 50, 70, 7200, 7201]
    write_capture(tmp_path / "slow", frames, [10**15 + s * 1_000_000 for s in starts])
    batches = replay(tmp_path / "slow", SensorCore("s"), 1 << 20)
    assert [b.connections["src_port"].tolist() for b in batches if len(b.connections)] == [
        [1000, 1001, 1002], [1003], [1004, 1005],
    ]  # fmt: skip
    assert sum(b.packets for b in batches) == 6


def test_batches_fit_a_message(mixture: Path) -> None:
    sizes = [len(encode([b])) for b in replay(mixture, SensorCore("s" * 200))]
    assert max(sizes) < min(MAX_BYTES, 198_000)


def test_incompressible_batch_fits_a_message() -> None:
    generator = np.random.default_rng(1)
    rows = np.zeros(BATCH_CONNECTIONS, CONNECTION)
    noise = generator.integers(0, 256, (BATCH_CONNECTIONS, CONNECTION.itemsize), np.uint8)
    rows = noise.view(CONNECTION)[:, 0].copy()
    rows["start_us"] %= 10**15
    rows["duration_us"] %= 10**15
    rows["start_us"], rows["duration_us"] = abs(rows["start_us"]), abs(rows["duration_us"])
    rows["state"] %= len(CONNECTION_STATES)
    rows["ip_version"] = 4
    batch = make_batch([], sensor="s" * 200, connections=rows)
    assert len(encode([batch])) < 198_000


def test_dropped_packets_are_reported_once_and_counts_alone_are_not_hurried() -> None:
    core = SensorCore("s")
    assert core.take_batches(1_000_000) == []
    core.on_dropped(7)
    core._begin_us = 1_000_000
    assert core.take_batches(1_000_000 + COUNTS_ONLY_US - 1) == []
    (batch,) = core.take_batches(1_000_000 + COUNTS_ONLY_US)
    assert (batch.dropped, len(batch.connections)) == (7, 0)
    assert core.take_batches(10**8, final=True) == []
    assert core.counters["dropped"] == 7


@pytest.fixture
def captures() -> Iterator[Path]:
    root = os.environ.get("ONTOIDPS_DATA")
    if root is None:
        pytest.skip("ONTOIDPS_DATA does not name the folder with the captures")
    yield Path(root, "pcaps")


def of(rows: np.ndarray, source: str, target: str) -> np.ndarray:
    def mapped(address: str) -> np.ndarray:
        packed = bytes(10) + b"\xff\xff" + IPv4Address(address).packed
        return np.frombuffer(packed, np.uint8)

    chosen = (rows["src"] == mapped(source)).all(1) & (rows["dst"] == mapped(target)).all(1)
    return rows[chosen]


def indicated(rows: np.ndarray, name: str) -> int:
    return int((rows["indicators"] >> INDICATORS.index(name) & 1).sum())


@pytest.mark.data
def test_ssh_guessing_is_eleven_connections(captures: Path) -> None:
    rows = connections(captures / "bruteforce/zeek_sshguess.pcap")
    attack = of(rows, "192.168.56.1", "192.168.56.103")
    assert indicated(attack, "SshBanner") == 11
    assert len(np.unique(attack["src_port"])) == 11


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "source", "target", "flags", "ports"),
    [
        ("FIN_SCAN.pcap", "192.168.1.10", "192.168.1.25", 1, 1000),
        ("XMAS_TREE_SCAN.pcap", "192.168.1.10", "192.168.1.25", 41, 1000),
        ("TCP_SYN_SCAN.pcap", "192.168.1.10", "192.168.1.25", 2, 1000),
        ("chrissanders_synscan.pcapng", "172.16.0.8", "64.13.134.52", 2, 1000),
    ],
)
def test_port_scans_have_a_thousand_ports(
    captures: Path, name: str, source: str, target: str, flags: int, ports: int
) -> None:
    rows = of(connections(captures / "portscan" / name), source, target)
    probes = rows[(rows["protocol"] == 6) & (rows["orig_flags"] & 43 == flags)]
    assert len(np.unique(probes["dst_port"])) == ports


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "indicator", "least"),
    [
        ("chrissanders_http_dvwa_sqlinjection.pcapng", "SqlInjection", 3),
        ("ndpi_xss.pcap", "CrossSiteScripting", 1),
        ("ndpi_WebattackRCE.pcap", "CommandInjection", 100),
        ("ndpi_WebattackRCE.pcap", "PathTraversal", 20),
    ],
)
def test_web_attacks_are_indicated(captures: Path, name: str, indicator: str, least: int) -> None:
    # Of the last one the answers have been taken out.
    rows = connections(captures / "web_attack" / name, one_sided=name == "ndpi_WebattackRCE.pcap")
    assert indicated(rows, indicator) >= least


@pytest.mark.data
def test_benign_captures_hold_no_attack_and_no_refusal(captures: Path) -> None:
    for path in sorted((captures / "benign").iterdir()):
        rows = connections(path)
        assert int((rows["indicators"] & 15).sum()) == 0, path.name
        assert int(rows["failed_logins"].sum()) == 0, path.name


def _two_way(
    path: Path, connections: int, sides: str = "both", said: bytes = b"GET /a HTTP/1.1\r\n\r\n"
) -> RawPackets:
    """Sessions in which something is said, as both ends or one of them are captured."""
    made = World(3)
    made.version = 4
    for number in range(connections):
        seq = 1_000
        ends = (made.victim, 2_000 + number, made.target, 80)
        made.send(Packet(ends, 2, seq))
        for data in (b"", said):
            made.now += 1_000
            made.send(Packet(ends, 24, *made.truth[ends], data))
        made.now += 100_000
    own = [
        (when, frame)
        for when, frame in made.captured
        if sides == "both" or (frame[22:24] == b"\0\x50") == (sides == "client")
    ]
    write_capture(path, [frame for _, frame in own], [when for when, _ in own], RAW_IP)
    (raw,) = read_capture(path)
    return raw


@pytest.mark.parametrize(
    ("sides", "said", "proven", "one_sided"),
    [("both", False, 12, False), ("both", True, 0, True), ("client", False, 0, True),
     ("server", False, 0, True)],
)  # fmt: skip
def test_a_capture_of_one_side_says_so_and_proves_nothing(
    sides: str, said: bool, proven: int, one_sided: bool, tmp_path: Path
) -> None:
    core = SensorCore("s", one_sided=said)
    core.on_packets(_two_way(tmp_path / "capture.pcap", 12, sides))
    rows = np.concatenate([b.connections for b in core.take_batches(core.last_us, final=True)])
    assert (int(rows["conversation"].sum()), core.one_sided) == (proven, one_sided)


@pytest.mark.parametrize(("sides", "read"), [("both", 12), ("client", 12), ("server", 0)])
def test_offline_a_capture_of_one_side_is_read_though_nobody_answers(
    sides: str, read: int, tmp_path: Path
) -> None:
    core = SensorCore("s", repeatable=True)
    core.on_packets(
        _two_way(tmp_path / "capture.pcap", 12, sides, b"GET /?a=%27+or+1=1-- HTTP/1.1\r\n\r\n")
    )
    rows = np.concatenate([b.connections for b in core.take_batches(core.last_us, final=True)])
    assert int((rows["indicators"] & 1).sum()) == read
    assert core.one_sided == (sides != "both")
