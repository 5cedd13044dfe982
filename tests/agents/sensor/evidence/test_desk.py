"""What a console is told: real scapy, real store."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.sensor.capture.dissection import dissect_layers
from agents.sensor.evidence.desk import NOTHING, EvidenceDesk
from agents.sensor.evidence.matched import MatchedPackets
from agents.sensor.evidence.store import EvidenceStore
from agents.sensor.signatures.alerts import SignatureAlerts
from datasets.captures.pcap import CaptureError, read_capture
from ontology.fragments import decode, encode
from ontology.records import Alert
from rules.signatures.parse import read_rule

SAMPLE = Path(str(files("datasets").joinpath("samples"))) / "web-traversal.pcap.xz"
RULE = (
    'alert tcp any any -> any $HTTP_PORTS (msg:"own"; flow:to_server,established; '
    'uricontent:"../"; classtype:web-application-attack; sid:1000001; rev:3;)'
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EvidenceStore, Alert]]:
    evidence = MatchedPackets()
    matching = SignatureAlerts([read_rule(RULE)], sensor="s", evidence=evidence)
    for raw in read_capture(SAMPLE, block_bytes=4096):
        matching.on_packets(raw)
    (alert,) = matching.finish()
    path = tmp_path_factory.mktemp("state") / "evidence.sqlite3"
    with closing(EvidenceStore(path)) as store:
        store.add(evidence.take())
        yield store, alert


def test_the_cited_packet_is_dissected_and_the_conversation_is_a_pcap(
    kept: tuple[EvidenceStore, Alert], tmp_path: Path
) -> None:
    store, alert = kept
    answer = EvidenceDesk(store, dissect_layers).answer(alert)
    assert (answer.alert, decode(encode([answer]))) == (alert.id, (answer,))
    for part in ("###[ IP ]###", "192.0.2.66", "dport     = http", ".."):
        assert part in answer.dissection
    path = tmp_path / "one.pcap"
    path.write_bytes(base64.b64decode(answer.capture_data))
    (raw,) = read_capture(path)
    assert len(raw) == answer.evidence_packets
    assert b".." in raw.frame(answer.cited_packet - 1)
    assert "signature urn:ontoidps:signature:1:1000001 matched" in answer.explanation


def test_an_alert_without_packets_is_told_so(kept: tuple[EvidenceStore, Alert]) -> None:
    store, alert = kept
    other = replace(alert, source=ip_address("203.0.113.5"))
    answer = EvidenceDesk(store, dissect_layers).answer(other)
    assert (answer.evidence_packets, answer.capture_data, answer.explanation) == (0, "", NOTHING)


def test_a_dissector_that_fails_leaves_the_capture(kept: tuple[EvidenceStore, Alert]) -> None:
    store, alert = kept

    def fails(frame: bytes, link_type: int) -> str:
        raise CaptureError("packet can't be dissected: no")

    answer = EvidenceDesk(store, fails).answer(alert)
    assert answer.dissection == "packet can't be dissected: no"
    assert answer.capture_data


def test_a_packet_is_dissected_once(kept: tuple[EvidenceStore, Alert]) -> None:
    store, alert = kept
    asked: list[bytes] = []

    def counts(frame: bytes, link_type: int) -> str:
        asked.append(frame)
        return "one"

    desk = EvidenceDesk(store, counts)
    assert {desk.answer(alert).dissection for _ in range(3)} == {"one"}
    assert len(asked) == 1
