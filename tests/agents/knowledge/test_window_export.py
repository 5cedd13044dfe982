"""Alerts on their way to the ontology agent, and the file on its way back."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.knowledge.window_export import (
    ExportError,
    alerts_of,
    incident_file,
    incident_of,
    packed,
    reactions_of,
    unpacked,
    wish,
)
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.window import build_window
from ontology.reasoner.window_file import read_window
from ontology.records import HostProfile
from ontology.theory import Theory
from rules.reactions.reaction_rules import shipped_reactions
from rules.shipped_files import rule_paths
from tests.agents.correlation.alerts import alert

POT = HostProfile(id="urn:x:pot", address=ip_address("192.0.2.80"), roles=("Honeypot",))
ALERTS = [
    replace(alert(1, target=POT.address), explanation="an attacker's text"),
    replace(alert(2), source=ip_address("2001:db8::7"), cves=("CVE-2021-44228",)),
]


def test_the_file_is_the_window_that_correlation_reasoned_about() -> None:
    with KnowledgeBase([ontology_path(), *rule_paths()]) as base:
        ntriples = base.ntriples()
    asked = wish("urn:uuid:w", "urn:uuid:i", ALERTS, "ann")
    assert "text" not in asked.fragment and asked.ontology_action == "export"
    sent = incident_file(incident_of(asked), alerts_of(asked), [POT], ntriples, ontology_path())
    # By the page's way and by the command's: the same bytes.
    assert sent == incident_file("urn:uuid:i", ALERTS, [POT], ntriples, ontology_path())
    theory = Theory.from_ntriples(ntriples)
    window = build_window(ALERTS, {POT.address: POT}, theory.reads, shipped_reactions().service)
    assert sorted(read_window(sent).window.ntriples.splitlines()) == sorted(
        window.ntriples.splitlines()
    )
    assert unpacked(packed(sent)) == sent


def test_reactions_are_those_beside_the_ontology(tmp_path: Path) -> None:
    (tmp_path / "ontoidps.owl").write_bytes(ontology_path().read_bytes())
    assert reactions_of(tmp_path / "ontoidps.owl") is shipped_reactions()


def test_what_cannot_be_exported_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match="names no alerts"):
        incident_file("i", [], [], b"", ontology_path())
    with pytest.raises(ExportError, match="can't be read"):
        alerts_of(replace(wish("urn:uuid:w", "i", ALERTS, "ann"), fragment="<urn:x> a"))
    with pytest.raises(ExportError, match="alerts: "):
        wish("urn:uuid:w", "i", [alert(n) for n in range(400)], "ann")
    monkeypatch.setattr("agents.knowledge.window_export.MAX_PACKED", 10)
    with pytest.raises(ExportError, match="too many for a message"):
        packed(b"x" * 1000)


@pytest.mark.parametrize(
    "text", ["no base64!", base64.b64encode(zlib.compress(b"x" * 99)[:9]).decode()]
)
def test_a_damaged_answer_is_refused(text: str) -> None:
    with pytest.raises(ExportError):
        unpacked(text)
