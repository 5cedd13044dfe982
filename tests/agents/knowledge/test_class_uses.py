from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.knowledge import class_uses
from agents.knowledge.sources import Sources
from agents.settings.honeynet import Policy
from ontology.knowledge_base import KnowledgeBaseError, ontology_path
from ontology.taxonomy import installed
from rules.shipped_files import models_path, rule_paths


def test_every_place_that_uses_a_class_is_named() -> None:
    folder = models_path().parent
    paths = (ontology_path(), *rule_paths(), models_path(), folder / "reaction_attacks.tsv")
    places = class_uses.places_of("Exploit", paths)
    assert f"{folder / 'correlation.owl'}: rule 'ScanThenExploit'" in places
    assert "the program itself" in places
    assert f"{ontology_path()}: subClassOf of Worm" in places
    assert any(place.startswith(f"{models_path()}: model ") for place in places)
    for table in (str(folder / "reaction_attacks.tsv"), "attack_classes.tsv", "classes.tsv"):
        assert any(place.startswith(f"{table}:") for place in places), table
    assert class_uses.places_of("RedisProbe", paths) == []


def test_a_class_that_is_used_can_not_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed in the ontology, it is still in tables: refused before anything is compiled."""
    edited = Path(shutil.copy(ontology_path(), tmp_path))
    text = edited.read_text(encoding="utf-8")
    edited.write_text(text.replace("ontoidps#RpcProbe", "ontoidps#RpcLookup"))
    monkeypatch.setattr("agents.knowledge.files.ontology_path", lambda: edited)
    sources = Sources(tmp_path / "rules", Policy(), origin="o@test")
    with pytest.raises(KnowledgeBaseError) as refused:
        sources.take_over(1, trusted=True)
    line = str(refused.value)
    assert line.startswith(f"{edited}: class RpcProbe is gone, but used by ")
    assert "reaction_attacks.tsv:" in line and "\n" not in line
    # What nobody uses may go.
    assert not class_uses.places_of("RpcLookup", ()) and "RpcLookup" not in installed().parents
