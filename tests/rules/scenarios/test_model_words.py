from __future__ import annotations

from ontology.vocabulary import IDPS
from rules.scenarios.model_words import ill_formed, is_branch


def test_codes_have_the_form_of_their_catalogue() -> None:
    assert ill_formed(IDPS.techniqueId, ("T1110", "T1110.001", "1110", "TA0006")) == [
        "1110",
        "TA0006",
    ]
    assert ill_formed(IDPS.tacticId, ("TA0006", "T1110")) == ["T1110"]
    assert ill_formed(IDPS.evidencedOnPort, ("6379/tcp", "5060/udp", "6379")) == ["6379"]
    assert ill_formed(IDPS.exploitsCve, ("CVE-2021-44228", "log4shell")) == ["log4shell"]


def test_a_class_with_subclasses_is_a_branch() -> None:
    assert all(map(is_branch, ("Attack", "Penetration", "Scan", "WebAttack")))
    assert not any(map(is_branch, ("SynScan", "RemoteShell", "OutgoingFlood")))
