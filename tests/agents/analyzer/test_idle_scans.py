from __future__ import annotations

from typing import Any

from agents.analyzer.idle_scans import PORTS, SAMPLES

ZOMBIE = "192.0.2.20"


def samples(bench: Any, count: int, **more: Any) -> list[Any]:
    """As the flow table tells an unasked SYN-ACK and its RST: the zombie comes first."""
    values = {
        "src": ZOMBIE, "dst": bench.attacker, "src_port": 80, "orig_flags": "R",
        "resp_flags": "SA", "resp_packets": 1, "state": "OTH",
    } | more  # fmt: skip
    return [
        bench.connection(at=0.05 * i, **({"dst_port": 50000 + i} | values)) for i in range(count)
    ]


def test_a_zombies_side(bench: Any) -> None:
    [alert] = bench.alerts(samples(bench, SAMPLES))
    assert alert.classification == "IdleScan"
    assert (str(alert.source), str(alert.target)) == (bench.attacker, ZOMBIE)
    assert not alert.verified_source
    assert bench.alerts(samples(bench, SAMPLES - 1)) == []


def test_the_targets_side_alone_is_a_scan_that_verifies_nobody(bench: Any) -> None:
    rows = [
        bench.connection(at=0.01 * i, src=ZOMBIE, src_port=80, dst_port=1 + i, state="REJ",
                         resp_flags="RA", resp_packets=1)
        for i in range(30)
    ]  # fmt: skip
    assert {(a.classification, a.verified_source) for a in bench.alerts(rows)} == {
        ("SynScan", False)
    }


def test_both_sides_name_the_sampler_for_the_scan(bench: Any) -> None:
    rows = samples(bench, SAMPLES)
    rows += [
        bench.connection(at=1 + 0.01 * i, src=ZOMBIE, src_port=80, dst_port=1 + i)
        for i in range(PORTS)
    ]
    found = [a for a in bench.alerts(rows, cut=3) if a.classification == "IdleScan"]
    assert {(str(a.source), str(a.target)) for a in found} == {
        (bench.attacker, ZOMBIE),
        (bench.attacker, bench.victim),
    }
    assert not any(a.verified_source for a in bench.alerts(rows))


def test_backscatter_is_no_sampling(bench: Any) -> None:
    """A flooded web server answers the addresses and ports that were forged."""
    rows = [
        bench.connection(at=0.01 * i, src=ZOMBIE, dst="203.0.113.9", src_port=1024 + i, dst_port=80,
                         orig_flags="R", resp_flags="SA", resp_packets=1, state="OTH")
        for i in range(50)
    ]  # fmt: skip
    assert bench.alerts(rows) == []


def test_one_peer_that_repeats_its_syn_ack_is_no_sampling(bench: Any) -> None:
    assert bench.alerts(samples(bench, 50, dst_port=50000)) == []
