"""Exports with several documents on a line: each is an event, and nothing else is one."""

import json
from typing import Any

import pytest

from agents.sensor.inputs.bundles import MAX_DOCUMENTS, documents

EVENTS = [{"eventid": "a", "n": n} for n in range(3)]
HITS = [{"_index": "logstash", "_source": event} for event in EVENTS]


@pytest.mark.parametrize(
    "whole",
    [{"took": 3, "hits": {"total": 3, "hits": HITS}}, {"hits": {"hits": HITS}}, HITS, EVENTS],
)
def test_each_document_is_a_line(whole: Any) -> None:
    found = documents(json.dumps(whole).encode())
    assert found is not None and found[1] == 0
    read = [json.loads(line) for line in found[0]]
    assert [event.get("_source", event) for event in read] == EVENTS


@pytest.mark.parametrize(
    "line",
    [
        b"[Fri Nov 20 01:02:03 2026] x",
        b"[",
        b"[" * 5000,
        b"[]",
        b"[1]",
        b'{"eventid": "a", "hits": {"hits": [1]}}',
        b'{"eventid": "a", "input": "{\\"hits\\": {\\"hits\\": []}}"}',
    ],
)
def test_other_lines_are_left_alone(line: bytes) -> None:
    assert documents(line) is None


def test_a_line_holds_so_many(parse: Any, lines: Any) -> None:
    event = json.loads(lines["eve"][0])
    bundle = json.dumps({"hits": {"hits": [{"_source": event}] * (MAX_DOCUMENTS + 2)}})
    seen = parse("eve", bundle)
    assert seen.alerts[0].count == MAX_DOCUMENTS
    assert seen.counters["refused.bundled"] == 2
    assert seen.counters["lines"] == MAX_DOCUMENTS + 2
