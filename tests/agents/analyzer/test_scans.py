from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from agents.analyzer import scans
from agents.analyzer.findings import Table


def classes(alerts: list[Any]) -> set[str]:
    return {alert.classification for alert in alerts}


def refused(bench: Any, ports: range, **more: Any) -> list[Any]:
    return [
        bench.connection(
            at=0.01 * i, dst_port=port, state="REJ", resp_flags="RA", resp_packets=1, **more
        )
        for i, port in enumerate(ports)
    ]


def test_a_syn_scan_names_attacker_and_ports(bench: Any) -> None:
    [alert] = bench.alerts(refused(bench, range(1, 21)))
    assert alert.classification == "SynScan"
    assert alert.source == ip_address(bench.attacker)
    assert alert.target == ip_address(bench.victim)
    assert alert.count == 20
    assert alert.confidence >= 0.5
    assert not alert.verified_source
    assert "20 TCP ports" in alert.explanation


def test_one_port_less_than_the_threshold_is_silent(bench: Any) -> None:
    assert bench.alerts(refused(bench, range(scans.PORTS - 1))) == []
    assert classes(bench.alerts(refused(bench, range(scans.PORTS)))) == {"SynScan"}


def test_a_scan_over_many_batches_is_found_and_reported_log_times(bench: Any) -> None:
    alerts = bench.alerts(refused(bench, range(1000)), cut=1)
    assert classes(alerts) == {"SynScan"}
    assert len({alert.id for alert in alerts}) == 1
    assert [alert.count for alert in alerts] == [15, 30, 60, 120, 240, 480, 960]


def test_ports_beyond_the_window_do_not_add_up(bench: Any) -> None:
    """14 ports, then 14 others six minutes later."""
    early = refused(bench, range(14))
    late = [
        bench.connection(at=360 + i, dst_port=100 + i, state="REJ", resp_flags="RA")
        for i in range(14)
    ]
    assert bench.alerts(early + late, cut=3) == []


def opened(bench: Any, port: int, banner: int = 20) -> Any:
    """A port that let a scanner in, which heard ``banner`` bytes and hung up."""
    return bench.connection(
        at=0.02 * port, dst_port=port, src_port=50000 + port, state="RSTO", orig_flags="SAR",
        resp_flags="SA", resp_packets=1, resp_bytes=banner,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("real", "banner", "verified"), [(1, 20, []), (14, 20, []), (15, 0, []), (15, 20, [15])]
)
def test_a_connect_scan_is_told_by_its_source_ports_and_verified_by_what_it_was_told(
    bench: Any, real: int, banner: int, verified: list[int]
) -> None:
    """The refused ones could be forged: what is real has to be a scan by itself."""
    rows = [
        bench.connection(at=0.01 * i, dst_port=i, src_port=40000 + i, state="REJ", resp_flags="RA")
        for i in range(30)
    ]
    rows += [opened(bench, 80 + i, banner) for i in range(real)]
    alerts = bench.alerts(rows)
    assert {alert.classification for alert in alerts} == {"ConnectScan"}
    assert [alert.count for alert in alerts if alert.verified_source] == verified
    assert any(not alert.verified_source for alert in alerts)
    assert len({alert.id for alert in alerts}) == len(alerts)


def test_a_forged_ack_that_is_reset_verifies_nobody(bench: Any) -> None:
    """SYN and a blind ACK in another's name: the victim resets what it never offered."""
    rows = refused(bench, range(100, 130))
    rows.append(bench.connection(state="RSTR", orig_flags="SA", resp_flags="SAR", resp_packets=2))
    assert not any(alert.verified_source for alert in bench.alerts(rows))


def test_ordinary_use_of_a_service_does_not_vouch_for_a_forged_scan(bench: Any) -> None:
    """A visitor reads one page while somebody sends SYNs in the visitor's name."""
    ports = [*refused(bench, range(100, 130)), bench.session(at=1, dst_port=80, src_port=50000)]
    hosts = [bench.connection(at=0.01 * i, dst=f"198.51.100.{i + 20}") for i in range(30)]
    hosts.append(bench.session(at=1, src_port=50000))
    for rows, kind in ((ports, "SynScan"), (hosts, "TcpSweep")):
        alerts = bench.alerts([*rows, *refused(bench, range(200, 280))], cut=10)
        assert kind in classes(alerts)
        assert not any(alert.verified_source for alert in alerts)


@pytest.mark.parametrize(
    ("flags", "kind"), [("F", "FinScan"), ("", "NullScan"), ("FPU", "XmasScan"), ("A", "AckScan")]
)
def test_stealth_scans_by_their_flags(bench: Any, flags: str, kind: str) -> None:
    rows = [
        bench.connection(dst_port=i, orig_flags=flags, state="OTH", resp_flags="RA")
        for i in range(20)
    ]
    assert classes(bench.alerts(rows)) == {kind}


def test_udp_scan_counts_silence_and_forgives_answers(bench: Any) -> None:
    def udp(count: int, **more: Any) -> list[Any]:
        return [
            bench.connection(dst_port=1 + i, protocol=17, orig_flags="", state="OTH", **more)
            for i in range(count)
        ]

    assert classes(bench.alerts(udp(20))) == {"UdpScan"}
    assert bench.alerts(udp(20, resp_packets=1)) == []
    traceroute = [
        bench.connection(dst_port=33434 + i, protocol=17, orig_flags="", state="OTH")
        for i in range(60)
    ]
    assert bench.alerts(traceroute) == []
    late_answers = [
        bench.connection(src_port=53, dst_port=20000 + i, protocol=17, orig_flags="", state="OTH")
        for i in range(60)
    ]
    assert bench.alerts(late_answers) == []


def test_version_and_protocol_scans(bench: Any) -> None:
    probes = [bench.session(dst_port=port, indicators=1 << 5) for port in (21, 25, 80)]
    [version] = bench.alerts(probes)
    assert (version.classification, version.verified_source) == ("VersionScan", True)
    protocols = [
        bench.connection(protocol=100 + i, orig_flags="", dst_port=0, src_port=0) for i in range(6)
    ]
    assert classes(bench.alerts(protocols)) == {"ProtocolScan"}


def test_sweeps_name_the_port_and_count_the_hosts(bench: Any) -> None:
    def sweep(**more: Any) -> list[Any]:
        return [bench.connection(dst=f"198.51.100.{i}", **more) for i in range(1, 31)]

    icmp = {"protocol": 1, "src_port": 8, "dst_port": 0, "orig_flags": ""}
    [tcp] = bench.alerts(sweep(dst_port=22))
    assert (tcp.classification, tcp.target, tcp.target_port) == ("TcpSweep", None, 22)
    assert (tcp.target_count, len(tcp.targets)) == (30, 16)
    assert classes(bench.alerts(sweep(**icmp))) == {"IcmpSweep"}
    assert classes(bench.alerts(sweep(**icmp, resp_packets=1, state="SF"))) == {"IcmpSweep"}
    assert classes(bench.alerts(sweep(protocol=17, orig_flags="", dst_port=161))) == {"UdpSweep"}
    [arp] = bench.alerts(sweep(protocol=254, orig_flags="", dst_port=0, src_port=0))
    assert arp.classification == "ArpSweep"
    assert arp.confidence < 0.5


def test_users_of_many_servers_are_no_sweep(bench: Any) -> None:
    rows = [bench.session(dst=f"198.51.100.{i}", dst_port=443) for i in range(1, 200)]
    rows += [bench.connection(at=1, dst=f"203.0.113.{i}", dst_port=443) for i in range(1, 12)]
    assert bench.alerts(rows) == []


def test_passive_ftp_and_empty_listings_are_no_scan(bench: Any) -> None:
    """A client that fetches 60 files opens 60 ports of the server and sends nothing there."""
    rows = [
        bench.session(at=i, dst_port=50000 + i, src_port=40000 + i, orig_bytes=0) for i in range(60)
    ]
    assert bench.alerts(rows) == []


@pytest.mark.parametrize("flags", ["SA", "R", "RA"])
def test_victims_answers_do_not_accuse_them(bench: Any, flags: str) -> None:
    """Backscatter: the victim of forged packets answers addresses and ports it was never asked."""
    rows = [
        bench.connection(src=bench.victim, dst=f"203.0.113.{i}", src_port=80, dst_port=1000 + i,
                         orig_flags=flags, state="OTH")
        for i in range(200)
    ]  # fmt: skip
    rows += [
        bench.connection(src=bench.victim, dst=f"203.0.113.{i}", protocol=1, src_port=3, dst_port=3,
                         orig_flags="", state="OTH")
        for i in range(200)
    ]  # fmt: skip
    assert bench.alerts(rows) == []


def test_ipv6_is_no_exception(bench: Any) -> None:
    rows = refused(bench, range(20), src="2001:db8::66", dst="2001:db8::1")
    [alert] = bench.alerts(rows)
    assert alert.source == ip_address("2001:db8::66")


def test_tables_forget_the_oldest_and_say_so() -> None:
    table: Table[list[int]] = Table(list, 3, contents=10, entry=0)
    for key in "abcd":
        table.get(key).append(1)
    assert (len(table), table.evicted) == (3, 1)
    table.get("d")
    table.weigh("d", 9)
    table.weigh("b", 4)
    assert table.evicted == 2
    assert table.get("d") == [1]
    table.weigh("d", 1000)
    assert len(table) == 1


def test_a_full_table_sheds_before_it_forgets() -> None:
    def shed(value: list[int]) -> int:
        del value[1:]
        return len(value)

    table: Table[list[int]] = Table(list, 9, contents=20, entry=1, shed=shed)
    for key in "abc":
        table.get(key).extend(range(6))
        table.weigh(key, 6)
    assert (len(table), table.evicted, table.lightened) == (3, 0, 1)
    assert [table.get(key) for key in "abc"] == [[0], [0], [0]]


def test_a_scan_from_thousands_of_sources_stays_within_bounds(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "MAX_PAIRS", 20)
    monkeypatch.setattr(scans, "MAX_FIRST_ATTEMPTS", 50)
    core = bench.core()
    rows = [
        bench.connection(src=f"10.0.{i // 250}.{i % 250}", dst_port=i % 999) for i in range(2000)
    ]
    core.on_batch(bench.batch(rows))
    assert core.counters()["port_scan_evicted"] == 1950


def ack_pings(bench: Any, hosts: int, *, own_ports: bool = False, **row: Any) -> list[Any]:
    values = {"orig_flags": "A", "state": "OTH"} | row
    return [
        bench.connection(at=i / 10, dst=f"198.51.100.{i + 1}",
                         src_port=40_000 + (i if own_ports else 0), **values)
        for i in range(hosts)
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [{}, {"resp_flags": "R", "resp_packets": 1}], ids=["-", "RST"])
def test_lone_acks_to_many_hosts_are_a_sweep(bench: Any, answer: dict[str, Any]) -> None:
    [alert] = bench.alerts(ack_pings(bench, scans.SILENT_HOSTS, **answer))
    assert (alert.classification, alert.target_port) == ("TcpSweep", 80)
    assert str(alert.source) == bench.attacker and not alert.verified_source
    assert bench.alerts(ack_pings(bench, scans.SILENT_HOSTS - 1, **answer)) == []


def test_keep_alives_of_a_gateways_clients_are_none(bench: Any) -> None:
    """Each from a port of its own: to servers that forgot them, and to others that answer."""
    gone = ack_pings(bench, 60, own_ports=True, dst_port=443)
    held = ack_pings(bench, 60, dst_port=5223, resp_flags="A", resp_packets=1)
    assert bench.alerts(gone + held) == []
