"""A Suricata alert names what our own match of the same rule would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.analyzer.outgoing import outgoing_class
from agents.sensor.inputs.eve_signatures import MAX_REMEMBERED, SignatureNames, packet_of
from agents.sensor.inputs.events import LineRefused
from ontology.taxonomy import superclasses
from rules.shipped_files import shipped_models
from rules.signatures.parse import load_signatures

ROOT = Path(__file__).parents[4]

MESSAGE = "ET EXPLOIT Apache log4j RCE Attempt (CVE-2021-44228)"
METADATA = {
    "affected_product": ["Windows_XP_Vista_7_8_10_Server_32_64_Bit", "Apache_Log4j"],
    "attack_target": ["Web_Server"],
    "cve": ["CVE_2021_45046"],
    "created_at": ["2021_12_10"],
}
ALERT = {"gid": 1, "signature_id": 2034647, "rev": 2, "signature": MESSAGE, "metadata": METADATA}


def test_the_names_are_those_of_the_rule_itself(tmp_path: Path) -> None:
    said = ", ".join(f"{name} {value}" for name, values in METADATA.items() for value in values)
    rules = tmp_path / "x.rules"
    rules.write_text(
        f'alert http any any -> any any (msg:"{MESSAGE}"; content:"x"; '
        f"metadata:{said}; sid:2034647; rev:2;)\n"
    )
    [signature] = load_signatures([rules]).signatures
    named, words = SignatureNames().of(ALERT, MESSAGE, "Exploit", "http")
    assert words.startswith(f"Suricata 2034647 {MESSAGE!r} (Exploit; names CVE-2021-44228, CVE-")
    assert named.signature == signature.iri
    assert named.cves == signature.cves == ("CVE-2021-44228", "CVE-2021-45046")
    assert named.services == signature.services and "http" in named.services
    assert named.systems == signature.systems == ("Windows",)


def test_what_is_remembered_is_not_taken_for_what_is_said_now() -> None:
    names = SignatureNames()
    first, words = names.of(ALERT, MESSAGE, "Exploit", "http")
    again, _ = names.of(json.loads(json.dumps(ALERT)), MESSAGE, "Exploit", "http")
    assert again is first
    assert names.of(ALERT, MESSAGE, "Misc", "http")[1] == words.replace("(Exploit", "(Misc")
    other, words = names.of(ALERT | {"metadata": {"cve": [5]}}, "x", "C", "failed")
    assert other[1:] == ((), (), ()) and words == "Suricata 2034647 'x' (C)"
    for number in range(MAX_REMEMBERED + 5):
        names.of(ALERT | {"signature_id": number}, MESSAGE, "", None)
    assert len(names._known) == MAX_REMEMBERED
    for lie in ({"gid": "1"}, {"signature_id": -1}):
        with pytest.raises(LineRefused):
            names.of(ALERT | lie, MESSAGE, "", None)


@pytest.mark.parametrize(
    ("event", "link"),
    [
        ({"packet": "QUFB"}, 1),
        ({"packet": "QUFB", "packet_info": {"linktype": 12}}, 101),
        ({"packet": "QUFB", "packet_info": {"linktype": 113}}, 113),
        ({"packet": "QUFB", "packet_info": {"linktype": "x"}}, None),
        ({"packet": ""}, None),
        ({"packet": 5}, None),
        ({"packet": "A" * 100_000}, None),
        ({"payload": "QUFB"}, None),
    ],
)
def test_the_packet(event: dict[str, Any], link: int | None) -> None:
    found = packet_of(event, 40000, 80)
    assert (found and found.link_type) == link


@pytest.mark.parametrize(
    ("category", "classtype"),
    [
        ("Malware Command and Control Activity Detected", "command-and-control"),
        ("A Network Trojan was detected", "trojan-activity"),
        ("Domain Observed Used for C2 Detected", "domain-c2"),
        ("Targeted Malicious Activity was Detected", "targeted-activity"),
        ("Crypto Currency Mining Activity Detected", "coin-mining"),
    ],
)
def test_what_suricata_calls_malware_is_a_class_that_rules_read(
    category: str, classtype: str
) -> None:
    """In another tool's log and by our own match of the rule the same; it calls for the steps
    "call-home" (as a beacon of a host of ours) and the rules about exploits."""
    rows = [
        line.split("\t")
        for path in ("agents/sensor/inputs/classes.tsv", "rules/attack_classes.tsv")
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines()
    ]
    told = {row[2] for row in rows if category in row or row[:2] == [classtype, "*"]}
    assert told == {"MalwareContact"}
    evidence = {e for m in shipped_models().models.models for e in m.evidence}
    assert outgoing_class("MalwareContact") in evidence
    assert "Exploit" in superclasses("MalwareContact")
