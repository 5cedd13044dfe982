"""What visitors left: different values once, bounded, printable; nothing more than that."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.inputs.events import Traces, host
from agents.sensor.inputs.observed_traces import (
    MAX_LEFT,
    MAX_VISITORS,
    credential,
    observed_data,
)
from ontology.fragments import decode, encode
from ontology.observed_data import MAX_TEXT, MAX_VALUES, ObservedData

DECOY = host("198.51.100.18")


def left(*values: tuple[str, object], who: str = "192.0.2.66", at: int = 5) -> Traces:
    return Traces(host(who), DECOY, 22, at, True, values)


def put(traces: list[Traces]) -> tuple[list[ObservedData], Counter[str]]:
    counters: Counter[str] = Counter()
    found = observed_data(traces, input_kind="x", sensor="s", mark="m", counters=counters)
    return list(found), counters


def test_a_visitors_values_are_one_record_and_each_stands_once() -> None:
    (record,), _ = put(
        [
            left(("credentials", "root:1"), ("clients", "SSH-2.0-Go"), at=7),
            left(("credentials", "root:1"), ("commands", "id"), at=3),
        ]
    )
    assert record.credentials == ("root:1",)
    assert (record.commands, record.clients) == (("id",), ("SSH-2.0-Go",))
    assert (record.begin_us, record.end_us, record.observed_port) == (3, 7, 22)


def test_two_visitors_are_two_records_and_a_stretch_read_again_gives_the_same_ids() -> None:
    traces = [left(("commands", "a")), left(("commands", "a"), who="192.0.2.67")]
    first, second = put(traces)[0], put(traces)[0]
    assert len({record.id for record in first}) == 2
    assert first == second


def test_nobody_leaves_more_than_his_share() -> None:
    records, counters = put([left(("commands", str(n))) for n in range(1000)])
    assert sum(len(r.commands) for r in records) == MAX_LEFT
    assert max(len(r.commands) for r in records) == MAX_VALUES
    assert counters == {"traces": MAX_LEFT, "traces_left_out": 1000 - MAX_LEFT}
    crowd, counters = put(
        [left(("commands", "a"), who=f"10.1.{n // 250}.{n % 250}") for n in range(400)]
    )
    assert len(crowd) == MAX_VISITORS
    assert counters["traces_left_out"] == 400 - MAX_VISITORS


@given(st.recursive(st.none() | st.integers() | st.text(max_size=400), st.lists, max_leaves=20))
def test_whatever_a_field_holds_can_be_sent(value: Any) -> None:
    records, _ = put([left(("urls", value))])
    assert decode(encode(records)) == tuple(records)
    assert all(len(url) <= MAX_TEXT for record in records for url in record.urls)


def test_a_credential_is_what_was_text_of_it() -> None:
    assert credential("root", None) == "root:"
    assert credential(7, "x" * 1000) == ":" + "x" * MAX_TEXT


COMMON = {"src_ip": "192.0.2.66", "session": "1733", "timestamp": "2026-11-16T17:44:08.000000Z"}
KEX = {"eventid": "cowrie.client.kex", "hassh": "4e066189c3bbeec38c99b1855113733a"}
VERSION = {"eventid": "cowrie.client.version", "version": "SSH-2.0-libssh_0.9.6"}
FILE = {"eventid": "cowrie.session.file_download", "url": "http://203.0.113.9/a", "shasum": "0d3c"}


def test_what_cowrie_tells(parse: Any, lines: Any) -> None:
    more = [json.dumps(COMMON | event) for event in (KEX, VERSION, FILE)]
    seen = parse("cowrie", *lines["cowrie"][:1], *more, *lines["cowrie"][1:])
    (record,) = seen.observed
    assert record.credentials == ("root:x", "root:y")
    assert record.commands == ("wget http://x/\\x1b[2J",)
    assert (record.urls, record.file_hashes) == (("http://203.0.113.9/a",), ("0d3c",))
    assert record.clients == ("SSH-2.0-libssh_0.9.6", "hassh 4e066189c3bbeec38c99b1855113733a")
    assert (str(record.source), record.observed_port, record.input_kind) == (
        "192.0.2.66",
        22,
        "cowrie",
    )


def test_a_client_alone_is_context_and_accuses_nobody(parse: Any, lines: Any) -> None:
    seen = parse("cowrie", lines["cowrie"][0], json.dumps(COMMON | KEX))
    assert seen.alerts == []
    assert len(seen.rows) == 1


def test_what_dionaea_tells_in_both_forms(parse: Any, lines: Any) -> None:
    flat = json.loads(lines["dionaea"][0])
    flat["credentials"] = {"username": ["a", "a"], "password": ["b", "c"]}
    for line in (lines["dionaea"][0], json.dumps(flat)):
        (record,) = parse("dionaea", line).observed
        assert record.credentials == ("a:b", "a:c")


def test_what_came_through_a_relay_is_verified_of_nobody(parse: Any, lines: Any) -> None:
    seen = parse("tanner", *lines["tanner"])
    proofs = {str(r.source): r.verified_source for r in seen.observed}
    assert proofs == {"192.0.2.66": True, "192.0.2.90": False}
