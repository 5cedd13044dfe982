"""Zeek's conn.log and notice.log."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.registry import make_parser
from ontology.records import CONNECTION_STATES

SYN, ACK, PSH, FIN, RST = 2, 16, 8, 1, 4
NOTICE = {
    "ts": 1794000000.5,
    "note": "SSH::Password_Guessing",
    "msg": "192.0.2.66 appears to be guessing SSH passwords (seen in 30 connections).",
    "src": "192.0.2.66",
    "dst": "198.51.100.18",
    "p": 22,
    "proto": "tcp",
}


def test_table_with_header(parse: Any, lines: Any) -> None:
    seen = parse("zeek", *lines["zeek"])
    first, second = seen.rows
    assert seen.counters["refused"] == 0
    assert first["start_us"] == 1_794_000_000_250_000
    assert first["duration_us"] == 1_500_000
    assert (first["orig_bytes"], first["resp_bytes"]) == (300, 900)
    assert (first["orig_packets"], first["resp_packets"]) == (8, 7)
    assert CONNECTION_STATES[first["state"]] == "SF"
    assert first["orig_flags"] == SYN | ACK | PSH | FIN == first["resp_flags"]
    assert CONNECTION_STATES[second["state"]] == "REJ"
    assert (second["orig_flags"], second["resp_flags"]) == (SYN, RST)
    assert second["orig_bytes"] == 0


def test_json_says_the_same(parse: Any, lines: Any) -> None:
    names = lines["zeek"][5].split("\t")[1:]
    objects = []
    for line in lines["zeek"][7:]:
        record: dict[str, Any] = dict(zip(names, line.split("\t"), strict=True))
        for name, value in record.items():
            if name in ("ts", "duration") and value != "-":
                record[name] = float(value)
            elif value.isdigit():
                record[name] = int(value)
        objects.append(json.dumps({k: v for k, v in record.items() if v != "-"}))
    assert np.array_equal(parse("zeek", *objects).rows, parse("zeek", *lines["zeek"]).rows)


def test_the_header_is_remembered_with_the_place(lines: Any) -> None:
    first, second = (make_parser("zeek", Options()) for _ in range(2))
    for line in lines["zeek"][:7]:
        assert not first.on_line(line.encode())
    second.remember(first.memory())
    assert len(list(second.on_line(lines["zeek"][7].encode()))) == 1


def test_without_a_header_a_table_is_refused(parse: Any, lines: Any) -> None:
    assert parse("zeek", lines["zeek"][7]).counters["refused.header"] == 1


def test_notices(parse: Any) -> None:
    (alert,) = parse("zeek", json.dumps(NOTICE)).alerts
    assert (alert.classification, alert.confidence) == ("SshBruteForce", 0.9)
    assert alert.target_port == 22
    elsewhere = json.dumps(NOTICE | {"dst": "203.0.113.1"})
    assert parse("zeek", elsewhere).alerts[0].confidence == 0.7
    sweep = NOTICE | {"note": "Scan::Address_Scan"}
    del sweep["dst"]
    (alert,) = parse("zeek", json.dumps(sweep)).alerts
    assert (alert.classification, alert.target) == ("HostSweep", None)
    assert parse("zeek", json.dumps(NOTICE | {"note": "SSL::Invalid"})).alerts == []


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("number", {"orig_bytes": 10**30}),
        ("number", {"id.resp_p": -1}),
        ("time", {"ts": float("nan")}),
        ("time", {"ts": 1e300}),
        ("state", {"conn_state": "S9"}),
        ("address", {"id.resp_h": "2001:db8::1"}),  # IPv4 speaks to IPv6: never
        ("future", {"duration": 2.5e11}),
    ],
)
def test_lies_are_refused(parse: Any, reason: str, values: dict[str, Any]) -> None:
    honest = {
        "ts": 1794000000.0,
        "id.orig_h": "192.0.2.66",
        "id.orig_p": 1,
        "id.resp_h": "192.0.2.1",
        "id.resp_p": 2,
        "proto": "tcp",
        "conn_state": "S0",
    }
    assert len(parse("zeek", json.dumps(honest)).rows) == 1
    seen = parse("zeek", json.dumps(honest | values))
    assert (len(seen.rows), seen.counters[f"refused.{reason}"]) == (0, 1)


@pytest.mark.parametrize("separator", ["_", ":", "->", ""])
def test_any_separator_of_scopes(parse: Any, lines: Any, separator: str) -> None:
    """``Log::default_scope_sep``; Elasticsearch wants another one than the dot."""
    plain = parse("zeek", *lines["zeek"])
    table = [line.replace("id.", f"id{separator}") for line in lines["zeek"]]
    assert parse("zeek", *table).rows.tobytes() == plain.rows.tobytes()
    names = lines["zeek"][5].split("\t")[1:]
    for line in lines["zeek"][7:]:
        cells = dict(zip(names, line.split("\t"), strict=True))
        flat = {k.replace("id.", f"id{separator}"): v for k, v in cells.items() if v != "-"}
        assert len(parse("zeek", json.dumps(flat)).rows) == 1
    nested = {k: v for k, v in cells.items() if not k.startswith("id.") and v != "-"}
    nested["id"] = {k[3:]: v for k, v in cells.items() if k.startswith("id.")}
    assert parse("zeek", json.dumps(nested)).rows.tobytes() == plain.rows[1:].tobytes()


@pytest.mark.parametrize(("number", "name"), [(132, "unknown_transport"), (47, "x"), (6, "tcp")])
def test_a_protocol_without_a_name_has_its_number(parse: Any, number: int, name: str) -> None:
    record = {
        "ts": 1794000000.25, "id.orig_h": "192.0.2.66", "id.orig_p": 0, "id.resp_h": "192.0.2.1",
        "id.resp_p": 0, "proto": name, "conn_state": "OTH", "ip_proto": number,
    }  # fmt: skip
    (row,) = parse("zeek", json.dumps(record)).rows
    assert row["protocol"] == number
    del record["ip_proto"]
    seen = parse("zeek", json.dumps(record))
    assert (len(seen.rows), seen.counters["refused.protocol"]) == (
        (1, 0) if number == 6 else (0, 1)
    )


def test_milliseconds_and_zones(parse: Any) -> None:
    record = {
        "ts": 1794000000250, "id.orig_h": "fe80::1%eth0", "id.orig_p": 0, "id.resp_h": "fe80::2",
        "id.resp_p": 0, "proto": "icmp", "conn_state": "OTH",
    }  # fmt: skip
    (row,) = parse("zeek", json.dumps(record)).rows
    assert (row["start_us"], row["protocol"]) == (1794000000250000, 58)
