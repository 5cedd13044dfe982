"""Dionaea's log_json."""

from __future__ import annotations

import json
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


def test_a_decoy_that_calls_out_was_exploited(parse: Any, lines: Any) -> None:
    seen = parse("dionaea", changed(lines["dionaea"][0], way="connect", service="emulation"))
    (alert,) = seen.alerts
    assert (alert.classification, str(alert.source)) == ("Exploit", "192.0.2.66")
    assert len(seen.rows) == 0


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
