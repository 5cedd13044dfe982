"""One-way records made whole: who opened it, what was answered, and never counted twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.netflow_pairs import MAX_WAITING
from agents.sensor.inputs.registry import make_parser
from ontology.records import CONNECTION_STATES

ENDS = {"src_ip": "192.0.2.66", "src_port": 40000, "dest_ip": "203.0.113.80", "dest_port": 80}


def record(flow: int, *, back: bool = False, flags: str = "1b", **more: Any) -> str:
    ends = dict(ENDS)
    if back:
        ends = {
            "src_ip": ENDS["dest_ip"],
            "src_port": ENDS["dest_port"],
            "dest_ip": ENDS["src_ip"],
            "dest_port": ENDS["src_port"],
        }
    return json.dumps(
        {
            "timestamp": "2026-11-17T12:50:00.000000+0000",
            "flow_id": flow,
            "event_type": "netflow",
            **ends,
            "proto": "TCP",
            "netflow": {
                "pkts": 5,
                "bytes": 700,
                "start": "2026-11-17T12:49:00.000000+0000",
                "end": "2026-11-17T12:49:02.500000+0000",
                "age": 2,
            },
            "tcp": {"tcp_flags": flags},
        }
        | more
    )


def test_two_records_are_one_connection_of_who_came_first(parse: Any) -> None:
    (row,) = parse("eve", record(1), record(1, back=True)).rows
    assert row["src"].tobytes()[12:] == bytes([192, 0, 2, 66])
    assert (row["src_port"], row["dst_port"], row["duration_us"]) == (40000, 80, 2_500_000)
    assert (row["orig_packets"], row["resp_packets"]) == (5, 5)
    assert CONNECTION_STATES[row["state"]] == "SF"
    assert not row["conversation"]


def test_records_of_several_threads_are_told_apart(parse: Any) -> None:
    seen = parse("eve", record(1), record(2), record(2, back=True), record(1, back=True))
    assert len(seen.rows) == 2


def test_who_was_never_answered_counts_when_others_followed(parse: Any) -> None:
    pair = record(1), record(1, back=True)
    alone = [record(number, flags="02") for number in range(2, 3 + MAX_WAITING)]
    states = [CONNECTION_STATES[s] for s in parse("eve", *pair, *alone).rows["state"]]
    assert sorted(states) == ["S0", "SF"]  # the others may still be answered


def test_an_answer_read_first_accuses_nobody(parse: Any) -> None:
    """Following begins between the two: the decoy did not call its visitor."""
    later = [record(number) for number in range(2, 3 + MAX_WAITING)]
    assert len(parse("eve", record(1, back=True), *later).rows) == 0


def test_a_log_that_also_has_flows_is_counted_once(parse: Any, lines: Any) -> None:
    seen = parse("eve", lines["eve"][1], record(1), record(1, back=True))
    assert len(seen.rows) == 1


def test_what_waits_is_remembered() -> None:
    first, second = (make_parser("eve", Options()) for _ in range(2))
    assert list(first.on_line(record(1).encode())) == []
    second.remember(first.memory())
    assert len(list(second.on_line(record(1, back=True).encode()))) == 1
    assert len(first.memory()) < 65_536


@pytest.mark.parametrize(
    "more", [{"flow_id": "x"}, {"netflow": 3}, {"netflow": {"pkts": -1}}, {"tcp": 7}]
)
def test_lies_are_refused(parse: Any, more: dict[str, Any]) -> None:
    seen = parse("eve", record(1, **more), record(1, back=True, **more))
    assert len(seen.rows) == 0
    assert seen.counters["refused.fault"] == 0
    assert seen.counters["refused"] >= 1
