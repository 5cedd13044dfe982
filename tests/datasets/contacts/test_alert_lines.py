from __future__ import annotations

import json
from collections import Counter
from typing import Any

from datasets.contacts.alert_lines import read_alerts
from datasets.contacts.contact_log import ContactLog, ContactReader

ALERT: dict[str, Any] = {
    "type": "alert",
    "source": "192.0.2.66",
    "sensor": "gw1",
    "target_port": 22,
    "protocol": 6,
    "begin_us": 1_000_000,
    "end_us": 9_000_000,
    "stage": "original",
}


def read(*values: object) -> ContactLog:
    reader = ContactReader()
    lines = [v.encode() if isinstance(v, str) else json.dumps(v).encode() for v in values]
    read_alerts([lines], reader, name="x.jsonl")
    return reader.finish()


def test_lines_of_replay() -> None:
    log = read(
        ALERT,
        ALERT | {"sensor": "gw2", "target_port": None, "begin_us": 2_000_000},
        ALERT | {"stage": "senior"},
        ALERT | {"source": None},
        ALERT | {"type": "incident"},
    )
    assert log.time_us.tolist() == [1_000_000, 2_000_000]
    assert log.gateways == ("gw1", "gw2")
    assert log.port.tolist() == [22, -1]
    assert log.left_out == Counter(
        {"no single source": 1, "no alert": 1, "senior, beside its originals": 1}
    )


def test_lines_of_the_archive() -> None:
    """``ontoidps alerts list --json`` wraps the alert, and lists senior ones only."""
    senior = {key: value for key, value in ALERT.items() if key != "type"} | {"stage": "senior"}
    assert len(read({"alert": senior, "incidents": []}, {"alert": senior})) == 2


def test_bad_lines_are_counted_by_reason() -> None:
    log = read(
        ALERT,
        "{",
        "[]",
        "[" * 2000,
        ALERT | {"begin_us": "now"},
        ALERT | {"begin_us": True},
        ALERT | {"source": 7},
        ALERT | {"source": "nobody"},
        ALERT | {"sensor": ""},
        ALERT | {"target_port": 70_000},
        ALERT | {"protocol": -1},
        "",
    )
    assert len(log) == 1
    assert log.refused == Counter(json=3, time=2, source=2, sensor=1, port=1, protocol=1)
    assert log.first_refused == "x.jsonl:2: json"
