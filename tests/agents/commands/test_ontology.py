"""``ontoidps ontology`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.main import main
from ontology.knowledge_base import ontology_path

RULES = (
    'alert tcp any any -> any 80 (msg:"one"; content:"a"; classtype:attempted-admin; sid:1;)\n'
    'alert tcp any any -> any 80 (msg:"two"; ttl:3; classtype:not-suspicious; sid:2;)\n'
)


def test_import_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules, out = tmp_path / "own.rules", tmp_path / "own.ttl"
    rules.write_text(RULES)
    assert main(["ontology", "import-signatures", str(rules), "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["signatures"], result["executable"]) == (2, 1)
    assert result["unsupported"] == {"ttl": 1}
    assert result["classes"] == {"Exploit": 1, "no attack": 1}
    assert main(["ontology", "show", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["signatures"], shown["executable"]) == (2, 1)
    assert shown["attack"] == {"Exploit": 1}


def test_text_report_names_the_share_and_the_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "own.rules"
    rules.write_text(RULES + "alert tcp any any (sid:3;)\n")
    code = main(["ontology", "import-signatures", str(rules), "--out", str(tmp_path / "own.owl")])
    text = capsys.readouterr().out
    assert code == 1
    assert "1 fully executable (50.0%)" in text
    assert "1  ttl" in text
    assert f"unreadable: {rules}:3" in text
    assert main(["ontology", "show", str(tmp_path / "own.owl")]) == 0
    assert "2  signatures" in capsys.readouterr().out


def test_shipped_files_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ontology", "show"]) == 0
    text = capsys.readouterr().out
    assert "ontoidps.owl" in text and "data properties" in text and "rules" in text


@pytest.mark.parametrize("out", ["x.txt", "x"])
def test_unknown_endings_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    rules = tmp_path / "own.rules"
    rules.write_text(RULES)
    assert main(["ontology", "import-signatures", str(rules), "--out", out]) == 1
    assert "must end in" in capsys.readouterr().err


def test_a_question_to_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    ask = "SELECT ?c { ?c rdfs:subClassOf idps:BruteForce } ORDER BY ?c LIMIT 2"
    assert main(["ontology", "query", ask]) == 0
    assert capsys.readouterr().out.split() == [
        "c",
        "idps:CredentialStuffing",
        "idps:DatabaseBruteForce",
    ]
    assert main(["ontology", "query", "--json", "ASK { idps:SynScan a owl:Class }"]) == 0
    assert json.loads(capsys.readouterr().out)["boolean"] is True
    assert main(["ontology", "query", "DROP ALL"]) != 0
    assert "not answered" in capsys.readouterr().err


def test_translating_and_comparing_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ma = "http://ingenieria.ucaldas.edu.co/gisaza/OntoIDPSMA.owl#"
    event = tmp_path / "event.ttl"
    event.write_text(
        f'@prefix ma: <{ma}> . <urn:uuid:1> a ma:Event ; ma:NameEvent "SynScan" ;\n'
        ' ma:SrcIP "192.0.2.1" ; ma:Priority "3" ; ma:timestamp "2026-01-01T00:00:00Z" .'
    )
    assert main(["ontology", "translate", str(event), "--to", "ontoidps"]) == 0
    said = capsys.readouterr()
    assert "urn:ontoidps:host:192.0.2.1" in said.out
    assert "lost: Priority" in said.err
    ours = tmp_path / "ours.ttl"
    ours.write_text(said.out)
    assert main(["ontology", "translate", str(ours), "--to", "ontoidpsma"]) == 0
    assert '"192.0.2.1"' in capsys.readouterr().out
    assert main(["ontology", "translate", str(event), "--to", "ontoidpsma"]) != 0
    assert "unknown" in capsys.readouterr().err

    path = ontology_path()
    other = tmp_path / "other.owl"
    other.write_text(path.read_text().replace("Half-open scan", "Half-closed scan"))
    assert main(["ontology", "diff", str(path), str(path)]) == 0
    assert main(["ontology", "diff", str(path), str(other)]) == 1
    assert "Half-closed" in capsys.readouterr().out
