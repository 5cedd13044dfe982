"""What a log's packets become: evidence that the alert finds again, within bounds."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from agents.sensor.evidence.citation_shares import PER_PLACE
from agents.sensor.evidence.store import EvidenceStore
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from ontology.records import Alert

NOW_US = 1_795_000_000_000_000


def read(lines: Any, **changes: Any) -> tuple[Intake, list[Alert]]:
    event = json.loads(lines["eve"][0]) | changes
    intake = Intake(make_parser("eve", Options()), sensor="sensor")
    records = intake.on_lines([json.dumps(event).encode()] * 5, "mark", NOW_US)
    return intake, [record for record in records if isinstance(record, Alert)]


def test_the_alert_finds_its_packet_and_names_its_signature(lines: Any, tmp_path: Path) -> None:
    frame = bytes(12) + b"\x08\x00" + b"GET /etc/passwd"
    intake, [alert] = read(lines, packet=base64.b64encode(frame).decode())
    assert alert.count == 5 and alert.signatures == ("urn:ontoidps:signature:1:2010937",)
    citations = intake.packets.take()
    assert len(citations) == PER_PLACE and intake.packets.held_back == 5 - PER_PLACE
    assert intake.packets.take() == []
    store = EvidenceStore(tmp_path / "evidence.sqlite3")
    store.add(citations)
    kept = store.find(alert)
    store.close()
    assert kept is not None and kept.frame == frame and frame in kept.capture
    assert kept.signature == alert.signatures[0] and kept.link_type == 1


def test_what_is_no_base64_is_counted(lines: Any) -> None:
    intake, alerts = read(lines, packet="%%%%")
    assert len(alerts) == 1
    assert intake.packets.take() == [] and intake.packets.lost == PER_PLACE
