from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.knowledge.words import FILE, Words
from ontology.records import OntologyChanged
from ontology.taxonomy import ATTACK_CLASSES, Taxonomy, TaxonomyError, installed, put_in_force

AGENT = "ontology.gw1@honeynet.test"
TABLE = Taxonomy({**installed().parents, "RedisProbe": ("Scan",)})
CHANGE = OntologyChanged(
    id="urn:uuid:1",
    kind="words",
    version="1.0.0+0123456789ab",
    digest=TABLE.digest,
    changed_us=5,
    detail=TABLE.text,
)


def test_what_was_announced_is_in_force_and_survives_a_restart(tmp_path: Path) -> None:
    words = Words(tmp_path, AGENT)
    words.restore()
    assert words.version == "" and words.concerns([CHANGE])
    assert not words.concerns([replace(CHANGE, kind="rules")])
    assert words.take(AGENT, [CHANGE])
    assert "RedisProbe" in ATTACK_CLASSES and words.version == CHANGE.version
    assert not words.take(AGENT, [CHANGE]), "nothing new"
    assert not words.take(AGENT, [replace(CHANGE, changed_us=4, version="old")])
    put_in_force(None)
    again = Words(tmp_path, AGENT)
    again.restore()
    assert "RedisProbe" in ATTACK_CLASSES and again.version == CHANGE.version


def test_strangers_and_broken_tables_change_nothing(tmp_path: Path) -> None:
    words = Words(tmp_path, AGENT)
    assert not words.take("ontology.gw2@honeynet.test", [CHANGE])
    too_many = json.dumps({f"A{n}": ["Attack"] for n in range(3000)})
    for broken in (
        replace(CHANGE, detail="{}"),
        replace(CHANGE, detail=too_many),
        replace(CHANGE, digest="0" * 64),
    ):
        with pytest.raises(TaxonomyError):
            words.take(AGENT, [broken])
    assert "RedisProbe" not in ATTACK_CLASSES and not words.version
    (tmp_path / FILE).write_text("{")
    words.restore()
    assert not words.version
