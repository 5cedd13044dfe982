"""A sensor's desk over a capture of our own: real rules, store and scapy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from agents.sensor.capture.dissection import dissect_layers
from agents.sensor.evidence.desk import EvidenceDesk
from agents.sensor.evidence.matched import MatchedPackets
from agents.sensor.evidence.store import EvidenceStore
from agents.sensor.signatures.alerts import SignatureAlerts
from datasets.captures.pcap import read_capture
from ontology.records import Alert, Record
from rules.signatures.parse import read_rule

SAMPLE = Path(str(files("datasets").joinpath("samples"))) / "web-traversal.pcap.xz"
SENSOR = "sensor.gw1@honeynet.localdomain"
RULE = (
    'alert tcp any any -> any $HTTP_PORTS (msg:"own rule"; flow:to_server,established; '
    'uricontent:"../"; reference:cve,2021-41773; metadata:affected_product Linux, '
    "attack_target Web_Server; classtype:web-application-attack; sid:1000001; rev:3;)"
)


@contextmanager
def kept_evidence(
    folder: Path,
) -> Iterator[tuple[Alert, Callable[[Record], tuple[str, Sequence[Record]]]]]:
    """The alert of `RULE` on `SAMPLE`, and what answers for its sensor."""
    evidence = MatchedPackets()
    matching = SignatureAlerts([read_rule(RULE)], sensor=SENSOR, evidence=evidence)
    for raw in read_capture(SAMPLE, block_bytes=4096):
        matching.on_packets(raw)
    (alert,) = matching.finish()
    with closing(EvidenceStore(folder / "evidence.sqlite3")) as store:
        store.add(evidence.take())
        desk = EvidenceDesk(store, dissect_layers)

        def sensor(asked: Record) -> tuple[str, Sequence[Record]]:
            assert isinstance(asked, Alert)
            return "inform-ref", [desk.answer(asked)]

        # As correlation would name it after fusion.
        yield replace(alert, id="urn:uuid:5b0f1f0a-2f0e-5d8e-9a53-7c3f8a1f6f99"), sensor
