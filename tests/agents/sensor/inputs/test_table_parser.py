"""What the parser of tables does for every format: whom it accuses, and what is verified."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest

from agents.sensor.inputs.events import LineRefused, Options, Traces
from agents.sensor.inputs.format_tables import load_table
from agents.sensor.inputs.registry import make_parser
from agents.sensor.inputs.table_parser import TableParser
from ontology.records import CONNECTION

HERALDING = "2026-11-16 12:11:24.0,a,s,{},40000,172.19.0.2,{},ssh,root,{}"


OWN = """
key = "who"
timezone = "UTC"
[fields]
time = "at"
source = "who"
target_port = "port"
service = "service"
[ports]
2222 = 22
[services]
gopher = 70
[[event]]
gives = "connection"
"""


@pytest.mark.parametrize(
    ("place", "port"), [({"port": 2222}, 22), ({"port": "99"}, 99), ({"service": "GOPHER"}, 70)]
)
def test_the_port_is_the_one_that_strangers_see(place: dict[str, Any], port: int) -> None:
    parser = TableParser(Options(), load_table(OWN, "own"))
    event = {"who": "192.0.2.66", "at": "2026-11-16T12:11:31"} | place
    (row,) = parser.on_line(json.dumps(event).encode())
    assert isinstance(row, bytes)
    assert np.frombuffer(row, CONNECTION)["dst_port"] == port


def test_refused_logins_are_counted_by_the_analyzer(parse: Any) -> None:
    seen = parse("heralding", *(HERALDING.format("192.0.2.66", 22, n) for n in range(6)))
    assert seen.rows["failed_logins"].sum() == 6
    assert seen.alerts == []


def test_a_login_at_a_port_that_no_window_counts_is_a_claim(parse: Any) -> None:
    seen = parse("heralding", HERALDING.format("192.0.2.66", 5900, "x"))
    assert [a.classification for a in seen.alerts] == ["BruteForce"]
    assert seen.rows["failed_logins"].sum() == 0


def test_a_password_with_line_feeds_accuses_nobody(parse: Any) -> None:
    """Python's csv writes them as they are: the second line looks like one of the log."""
    forged = HERALDING.format("203.0.113.99", 22, "x")
    first = HERALDING.format("192.0.2.66", 22, '"start')
    seen = parse(
        "heralding", first, forged, forged, 'end "" of it"', HERALDING.format("192.0.2.67", 22, "y")
    )
    sources = {row["src"].tobytes()[12:] for row in seen.rows}
    assert sources == {ip_address("192.0.2.66").packed, ip_address("192.0.2.67").packed}


def test_an_open_field_is_remembered_over_a_restart() -> None:
    first = make_parser("heralding", Options())
    list(first.on_line(HERALDING.format("192.0.2.66", 22, '"start').encode()))
    second = make_parser("heralding", Options())
    second.remember(first.memory())
    assert second.on_line(HERALDING.format("203.0.113.99", 22, "x").encode()) == ()


def test_a_relay_is_not_accused_with_what_it_carried(parse: Any, lines: Any, honeypot: str) -> None:
    by_relay, later = lines["tanner"][-2:]
    own = lines["tanner"][1]
    seen = parse("tanner", own, by_relay, later, address=ip_address(honeypot))
    found = {(str(a.source), a.classification): a.verified_source for a in seen.alerts}
    assert found == {
        ("192.0.2.66", "SqlInjection"): True,
        ("192.0.2.90", "SqlInjection"): False,
        ("192.0.2.90", "HoneypotContact"): False,
    }
    assert len(seen.rows) == 1
    assert "203.0.113.44" not in {str(a.source) for a in seen.alerts}


def test_who_speaks_for_others_is_remembered() -> None:
    first = make_parser("tanner", Options())
    headers = {"x-forwarded-for": "203.0.113.44"}
    event = {"peer": {"ip": "192.0.2.90"}, "path": "/", "timestamp": "2026-11-16T12:11:31.0"}
    (trace,) = first.on_line(json.dumps(event | {"headers": headers}).encode())
    assert isinstance(trace, Traces)  # no row: its connections are others'
    second = make_parser("tanner", Options())
    second.remember(first.memory())
    line = json.dumps(event).encode()
    assert [type(one) for one in second.on_line(line)] == [Traces]
    assert [type(one) for one in make_parser("tanner", Options()).on_line(line)] == [Traces, bytes]


@pytest.mark.parametrize("source", ["172.19.0.1", "127.0.0.1", "172.19.0.2"])
def test_the_decoys_own_gateway_is_nobody(parse: Any, source: str) -> None:
    seen = parse("heralding", HERALDING.format(source, 22, "x"))
    assert (len(seen.rows), seen.counters["refused.translated"]) == (0, 1)


def test_a_datagram_and_a_logged_packet_prove_nothing(parse: Any, lines: Any) -> None:
    seen = parse("sentrypeer", lines["sentrypeer"][0])
    assert not seen.alerts[0].verified_source
    assert not seen.rows["conversation"].any()
    packet = parse("opencanary", *lines["opencanary"][-2:])
    assert not packet.rows["conversation"].any()


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        ("adbhoney", {"src_ip": "nobody"}, "address"),
        ("adbhoney", {"src_ip": None}, "address"),
        ("adbhoney", {"src_port": 70000}, "port"),
        ("adbhoney", {"src_port": [1]}, "port"),
        ("adbhoney", {"timestamp": "soon"}, "time"),
        ("adbhoney", {"timestamp": [], "unixtime": None}, "time"),
        ("redishoneypot", {"addr": 7}, "address"),
        ("redishoneypot", {"addr": "x:y"}, "address"),
    ],
)
def test_lies_are_refused(
    parse: Any, lines: Any, kind: str, values: dict[str, Any], reason: str
) -> None:
    seen = parse(kind, json.dumps(json.loads(lines[kind][0]) | values))
    assert (len(seen.rows), seen.counters[f"refused.{reason}"]) == (0, 1)


def test_a_short_line_of_csv_is_refused() -> None:
    with pytest.raises(LineRefused):
        make_parser("heralding", Options()).on_line(b"2026-11-16 12:11:24,a,b")


def test_a_line_wrapped_by_docker_is_read(parse: Any, lines: Any) -> None:
    for kind in ("endlessh", "adbhoney"):
        wrapped = json.dumps({"log": lines[kind][0] + "\n", "stream": "stdout"})
        assert len(parse(kind, wrapped).rows) == 1


def test_what_is_shown_is_printable(parse: Any, lines: Any) -> None:
    line = json.dumps(json.loads(lines["adbhoney"][1]) | {"input": "a\u001b[2J" + "x" * 500})
    (alert,) = parse("adbhoney", line).alerts
    assert alert.explanation.isprintable()
    assert len(alert.explanation) < 200


def test_a_web_servers_visitors_are_watched_and_never_verified(parse: Any, lines: Any) -> None:
    """Its log may name whom a header named; what honest visitors read is nobody's business."""
    seen = parse("access", *lines["access"])
    assert not seen.rows["conversation"].any()
    assert {mark for mark in seen.rows["indicators"].tolist() if mark} == {1, 4}
    assert seen.rows["failed_logins"].sum() == 1
    assert sorted(url for one in seen.observed for url in one.urls) == [
        "/../../etc/passwd",
        "/?id=1%27%20UNION%20SELECT%20pass%20FROM%20users--",
        "/admin",
    ]


def test_what_was_asked_of_a_honeypots_web_server_is_kept(
    parse: Any, lines: Any, honeypot: str
) -> None:
    seen = parse("access", lines["access"][0], address=ip_address(honeypot))
    assert [one.urls for one in seen.observed] == [("/index.html",)]


def test_a_user_name_with_brackets_does_not_move_the_time(parse: Any, lines: Any) -> None:
    line = lines["access"][0].replace(
        "- - [", '- x [01/Jan/2020:00:00:00 +0000] "GET / HTTP/1.1" ['
    )
    assert len(parse("access", line).rows) == 0
