"""Dionaea's log_json."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from ontology.records import CONNECTION_STATES


def changed(line: str, way: str | None = None, service: str | None = None, **values: Any) -> str:
    event = json.loads(line) | values
    if way:
        event["connection"]["type"] = way
    if service:
        event["connection"]["protocol"] = service
    return json.dumps(event)


def test_a_session_with_passwords(parse: Any, lines: Any) -> None:
    seen = parse("dionaea", *lines["dionaea"])
    (row,) = seen.rows
    assert (row["failed_logins"], row["login_attempts"], row["dst_port"]) == (2, 2, 21)
    assert CONNECTION_STATES[row["state"]] == "SF"
    assert seen.alerts == []


def test_flat_data_counts_the_same(parse: Any, lines: Any) -> None:
    flat = {"username": ["a", "a"], "password": ["b", "c"]}
    (row,) = parse("dionaea", changed(lines["dionaea"][0], credentials=flat)).rows
    assert row["login_attempts"] == 2


def test_logins_at_a_database_are_a_claim_of_their_own(parse: Any, lines: Any) -> None:
    line = changed(lines["dionaea"][0], service="mssqld", dst_port=1433)
    seen = parse("dionaea", line)
    (alert,) = seen.alerts
    assert (alert.classification, alert.target_port) == ("BruteForce", 1433)
    assert seen.rows["login_attempts"].sum() == 0  # the login detector would take it for HTTP


CALLED = "192.0.2.80"


@pytest.mark.parametrize(
    ("service", "more", "source"),
    [
        ("httpd", {}, "198.51.100.18"),
        ("emulation", {"src_port": 4444}, "198.51.100.18"),
        ("ftpdatacon", {"src_port": 20000}, "198.51.100.18"),  # FTP's PORT names any address
        ("remoteshell", {"src_ip": "2001:db8::80", "dst_ip": "2001:db8:2::18"}, "2001:db8:2::18"),
        ("httpd", {"dst_ip": "172.17.0.3"}, "198.51.100.18"),
    ],
)
def test_a_decoy_that_calls_out_accuses_itself_and_not_whom_it_called(
    parse: Any, lines: Any, service: str, more: dict[str, Any], source: str
) -> None:
    values = {"src_ip": CALLED, "src_port": 80, "dst_port": 40112} | more
    line = changed(lines["dionaea"][0], way="connect", service=service, **values)
    options = {"address": ip_address(source)} if "172." in str(values) else {}
    seen = parse("dionaea", line, **options)
    (alert,) = seen.alerts
    assert (alert.classification, str(alert.source)) == ("Exploit", source)
    assert (str(alert.target), alert.target_port) == (values["src_ip"], values["src_port"])
    assert not alert.verified_source
    assert len(seen.rows) == 0


def test_a_decoy_that_asks_by_udp_is_the_one_that_asks(parse: Any, lines: Any) -> None:
    """Shellcode that fetches by TFTP: the server named in it is no stranger who came here."""
    event = json.loads(lines["dionaea"][0]) | {"src_ip": CALLED, "src_port": 69, "dst_port": 40112}
    event["connection"] = {"transport": "udp", "protocol": "tftp", "type": "connect"}
    del event["credentials"]
    (row,) = parse("dionaea", json.dumps(event)).rows
    assert row["src"].tobytes()[12:] == ip_address("198.51.100.18").packed
    assert (row["src_port"], row["dst_port"]) == (40112, 69)


def test_who_made_the_decoy_call_is_accused_by_his_own_session(parse: Any, lines: Any) -> None:
    call = changed(lines["dionaea"][0], way="connect", src_ip=CALLED, credentials=None)
    seen = parse("dionaea", lines["dionaea"][0], call)
    assert [r["src"].tobytes()[12:] for r in seen.rows] == [ip_address("192.0.2.66").packed]


def test_a_refused_connection_proves_no_source(parse: Any, lines: Any) -> None:
    (row,) = parse("dionaea", changed(lines["dionaea"][0], way="reject", credentials=None)).rows
    assert CONNECTION_STATES[row["state"]] == "REJ"
    assert row["orig_flags"] & 16 == 0


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("shape", {"connection": 5}),
        ("shape", {"credentials": "many"}),
        ("protocol", {"connection": {"transport": "ipx", "protocol": "x", "type": "accept"}}),
        ("time", {"timestamp": None}),
    ],
)
def test_lies_are_refused(parse: Any, lines: Any, reason: str, values: dict[str, Any]) -> None:
    seen = parse("dionaea", changed(lines["dionaea"][0], **values))
    assert (len(seen.rows), seen.counters[f"refused.{reason}"]) == (0, 1)
