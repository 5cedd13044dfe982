"""Lines that other programs have wrapped: what comes out is what went in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.sensor.inputs.events import LineRefused
from agents.sensor.inputs.wrappers import event_object, plain_line

IPTABLES = (
    "IN=eth0 OUT= SRC=192.0.2.66 DST=198.51.100.18 LEN=60 PROTO=TCP SPT=1 DPT=22 WINDOW=1 SYN"
)


def filebeat(line: str) -> str:
    return json.dumps(
        {"@timestamp": "2026-11-16T01:02:04.000Z", "message": line, "log": {"offset": 5}}
    )


def original(line: str) -> str:
    return json.dumps({"@timestamp": "2026-11-16T01:02:04.000Z", "event": {"original": line}})


def docker(line: str) -> str:
    return json.dumps(
        {"log": line + "\n", "stream": "stdout", "time": "2026-11-16T01:02:04.123456789Z"}
    )


def journal(line: str) -> str:
    return json.dumps(
        {
            "MESSAGE": line,
            "SYSLOG_IDENTIFIER": "kernel",
            "__REALTIME_TIMESTAMP": "1794790924000000",
        }
    )


def journal_bytes(line: str) -> str:
    return json.dumps(json.loads(journal(line)) | {"MESSAGE": list(line.encode())})


def document(line: str) -> str:
    """Of an export of Elasticsearch into which Filebeat had sent it."""
    return json.dumps({"_index": "x", "_id": "1", "_source": json.loads(filebeat(line))})


def parsed(line: str) -> str:
    return json.dumps({"_index": "logstash-2026.11.20", "_source": json.loads(line)})


WRAPPED = [filebeat, original, docker, journal, journal_bytes, document]


@pytest.mark.parametrize("wrap", [*WRAPPED, parsed])
@pytest.mark.parametrize("kind", ["cowrie", "dionaea", "eve"])
def test_json_logs(parse: Any, lines: Any, kind: str, wrap: Any) -> None:
    plain = parse(kind, *lines[kind])
    seen = parse(kind, *map(wrap, lines[kind]))
    assert seen.counters["refused"] == seen.counters["unrelated"] == 0
    assert seen.rows.tobytes() == plain.rows.tobytes()
    assert seen.alerts == plain.alerts


@pytest.mark.parametrize("wrap", WRAPPED)
def test_text_without_a_time_takes_the_wrappers(parse: Any, wrap: Any) -> None:
    (row,) = parse("syslog", wrap(IPTABLES)).rows
    assert (row["dst_port"], row["start_us"] // 1_000_000) == (22, 1794790924)


@pytest.mark.parametrize("wrap", [filebeat, original, docker, document])
def test_the_lines_own_time_is_the_better_one(parse: Any, wrap: Any) -> None:
    (row,) = parse("syslog", wrap(f"Nov 15 12:11:24 gw kernel: {IPTABLES}")).rows
    assert row["start_us"] < 1794790924 * 1_000_000


def test_a_strangers_text_in_an_event_is_no_event(parse: Any, lines: Any) -> None:
    forged = json.dumps(json.loads(lines["eve"][0]) | {"src_ip": "203.0.113.9"})
    event = json.loads(lines["eve"][0]) | {"message": forged, "log": forged}
    (alert,) = parse("eve", json.dumps(event)).alerts
    assert str(alert.source) == "192.0.2.66"


def test_a_program_cannot_call_itself_another(parse: Any) -> None:
    line = json.loads(journal("Failed password for root from 192.0.2.66 port 5 ssh2"))
    for name in ("x sshd[1]: ", "sshd: x", "a\nsshd"):
        seen = parse("syslog", json.dumps(line | {"SYSLOG_IDENTIFIER": name}))
        assert len(seen.rows) == 0


def test_what_is_no_wrapper_stays_what_it_is() -> None:
    assert event_object(b'{"a": 1}', "eventid") == {"a": 1}
    assert event_object(b'{"message": "hello"}', "eventid") == {"message": "hello"}
    assert plain_line(b"hello") == ("hello", None)
    assert plain_line(b'{"a": 1}') == ('{"a": 1}', None)
    deep = '{"eventid": "x"}'
    for _ in range(9):
        deep = json.dumps({"message": deep})
    assert "eventid" not in event_object(deep.encode(), "eventid")
    with pytest.raises(LineRefused):
        plain_line(b'{"MESSAGE": [300]}')
