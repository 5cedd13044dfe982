from __future__ import annotations

from typing import Any

import pytest

from agents.analyzer.scattered_floods import HOSTS

UDP = {"protocol": 17, "orig_flags": "", "state": "OTH", "dst_port": 7777}
ACK = {"orig_flags": "A", "state": "OTH"}
ECHO = {"protocol": 1, "src_port": 8, "dst_port": 0, "orig_flags": "", "state": "OTH"}
KINDS = {"SynFlood": {}, "UdpFlood": UDP, "AckFlood": ACK, "IcmpFlood": ECHO}


def scattered(
    bench: Any, count: int = 1500, *, hosts: int = 200, sources: int = 60_000, **row: Any
) -> list[Any]:
    """One packet from each source, to one host of a network after the other."""
    out = []
    for i in range(count):
        source = i % sources
        forged = f"10.{source // 250}.{source % 250}.7"
        target = f"198.51.100.{i % hosts + 1}"
        out.append(bench.connection(**({"src_port": 1024 + i} | row), at=i / count,
                                    src=forged, dst=target))  # fmt: skip
    return out


@pytest.mark.parametrize(("kind", "row"), KINDS.items(), ids=KINDS)
def test_a_flood_of_a_network_is_found_and_accuses_nobody(
    bench: Any, kind: str, row: dict[str, Any]
) -> None:
    [alert] = bench.alerts(scattered(bench, **row))
    assert (alert.classification, alert.source, alert.target) == (kind, None, None)
    assert (alert.source_count, alert.target_count) == (1500, 200)
    assert not alert.verified_source


def test_many_scanners_of_a_network_are_no_flood(bench: Any) -> None:
    """The same packets of 300 sources that come back: a darknet's daily noise."""
    found = {a.classification for a in bench.alerts(scattered(bench, sources=300))}
    assert "SynFlood" not in found


def test_a_slow_one_and_one_of_few_hosts_are_none(bench: Any) -> None:
    assert bench.alerts(scattered(bench, 900)) == []
    few = bench.alerts(scattered(bench, hosts=HOSTS - 1, **ECHO))
    assert not any(a.target is None for a in few)


def test_answers_that_the_capture_missed_are_none(bench: Any) -> None:
    """Many web servers to a network's clients, one direction seen."""
    assert bench.alerts(scattered(bench, **(UDP | {"src_port": 443, "dst_port": 50_000}))) == []
    assert bench.alerts(scattered(bench, **(ACK | {"src_port": 443, "dst_port": 50_000}))) == []


def test_ipv6_networks_are_a_48(bench: Any) -> None:
    rows = [
        bench.connection(
            at=i / 1500, src=f"2001:db8:{i:x}::7", dst=f"2001:db8:ffff:{i % 40:x}::1",
            src_port=1024 + i,
        )
        for i in range(1500)
    ]  # fmt: skip
    [alert] = [a for a in bench.alerts(rows) if a.confidence >= 0.5]
    assert (alert.classification, alert.source) == ("SynFlood", None)


def test_networks_are_bounded_and_counted(bench: Any) -> None:
    core = bench.core()
    rows = [
        bench.connection(src=f"10.1.{i // 250}.{i % 250}", dst=f"{11 + i // 250}.{i % 250}.1.1",
                         src_port=1024 + i)
        for i in range(600)
    ]  # fmt: skip
    core.on_batch(bench.batch(rows))
    assert core.counters()["scattered_flood_evicted"] == 600 - 512
