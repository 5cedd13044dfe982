from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from agents.analyzer import floods


def flood(bench: Any, count: int, *, seconds: float = 1.0, forged: bool = False, **row: Any) -> Any:
    return [
        bench.connection(
            at=seconds * i / count,
            src=f"10.{i % 200}.{i // 200}.1" if forged else bench.attacker,
            src_port=1024 + i,
            **row,
        )
        for i in range(count)
    ]


UDP = {"protocol": 17, "orig_flags": "", "state": "OTH", "dst_port": 7777}


def test_a_syn_flood_from_one_source_is_named_but_not_verified(bench: Any) -> None:
    [alert] = bench.alerts(flood(bench, 200))
    assert alert.classification == "SynFlood"
    assert alert.source == ip_address(bench.attacker)
    assert alert.target_port == 80
    assert not alert.verified_source


def test_a_forged_flood_names_nobody(bench: Any) -> None:
    [alert] = bench.alerts(flood(bench, 2000, forged=True))
    assert alert.classification == "SynFlood"
    assert alert.source is None
    assert (alert.source_count, len(alert.sources)) == (2000, 16)
    assert list(alert.sources) == sorted(alert.sources)
    assert not alert.verified_source


def test_a_forged_flood_over_all_ports_is_a_flood_and_no_scan(bench: Any) -> None:
    rows = [
        bench.connection(at=i / 2000, src=f"10.{i % 200}.{i // 200}.1", dst_port=i)
        for i in range(2000)
    ]
    assert {a.classification for a in bench.alerts(rows)} == {"SynFlood"}


def test_a_slow_trickle_is_no_flood(bench: Any) -> None:
    """The same 200 SYNs in two minutes: a monitor on a dead server."""
    assert bench.alerts(flood(bench, 200, seconds=120.0), cut=20) == []


def test_udp_icmp_and_ack_floods(bench: Any) -> None:
    [udp] = bench.alerts(flood(bench, 1500, **UDP))
    assert (udp.classification, udp.target_port) == ("UdpFlood", 7777)
    [icmp] = bench.alerts(
        [bench.connection(protocol=1, src_port=8, dst_port=0, orig_flags="", orig_packets=3000,
                          resp_packets=3000, duration=2.0, state="SF")]
    )  # fmt: skip
    assert icmp.classification == "IcmpFlood"
    [ack] = bench.alerts(flood(bench, 1500, orig_flags="A", resp_flags="R", state="OTH"))
    assert ack.classification == "AckFlood"


def test_long_pings_and_one_way_video_are_no_floods(bench: Any) -> None:
    """Many packets, but over an hour; 1,500 packets/s, but a single flow."""
    ping = bench.connection(protocol=1, src_port=8, dst_port=0, orig_flags="", orig_packets=3600,
                            duration=3600.0)  # fmt: skip
    video = bench.connection(**UDP, orig_packets=15_000, orig_bytes=20_000_000, duration=10.0)
    group = flood(bench, 1500, **(UDP | {"dst": "239.1.2.3"}))
    assert bench.alerts([ping, video, *group]) == []


def test_answers_of_a_busy_web_server_are_no_flood(bench: Any) -> None:
    rows = [bench.session(at=i / 500, src_port=1024 + i) for i in range(5000)]
    assert bench.alerts(rows) == []


def test_amplification_blames_no_reflector(bench: Any) -> None:
    rows = [
        bench.connection(at=i / 100, src=f"203.0.113.{i % 40}", src_port=53, dst_port=40000 + i,
                         protocol=17, orig_flags="", state="OTH", orig_packets=3, orig_bytes=3000)
        for i in range(200)
    ]  # fmt: skip
    [alert] = bench.alerts(rows)
    assert alert.classification == "AmplificationFlood"
    assert alert.source is None
    assert alert.source_count == 40
    assert "DNS" in alert.explanation


def test_answers_that_were_asked_for_are_no_amplification(bench: Any) -> None:
    rows = [
        bench.connection(at=i / 100, src_port=40000 + i, dst_port=53, protocol=17, orig_flags="",
                         state="SF", resp_packets=3, resp_bytes=3000)
        for i in range(500)
    ]  # fmt: skip
    assert bench.alerts(rows) == []


def test_a_bystander_does_not_hide_the_flooder(bench: Any) -> None:
    rows = [*flood(bench, 500), bench.connection(at=0.5, src="192.0.2.10")]
    [alert] = bench.alerts(rows)
    assert alert.source == ip_address(bench.attacker)


def test_thousands_of_targets_stay_within_bounds(bench: Any) -> None:
    core = bench.core()
    rows = [
        bench.connection(src=f"10.1.{i // 250}.{i % 250}", dst=f"10.2.{i // 250}.{i % 250}")
        for i in range(floods.MAX_TARGETS)
    ]
    core.on_batch(bench.batch(rows))
    assert core.counters()["flood_evicted"] == floods.MAX_TARGETS
