"""Our classes and IDMEF's words."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from agents.idmef.class_words import UNKNOWN, category_of, class_of
from ontology.taxonomy import ATTACK_CLASSES


def test_every_class_has_a_category_of_the_schema() -> None:
    place = files("idmefv2.schemas.drafts.IDMEFv2.08").joinpath("IDMEFv2.schema")
    known = json.loads(place.read_text())["definitions"]["categoryEnum"]["enum"]
    table = {name: category_of(name) for name in ATTACK_CLASSES}
    assert set(table.values()) <= set(known)
    assert table["XmasScan"] == "Recon.Network"
    assert table["SshBruteForce"] == "Access.Unauthorized"
    assert table["Rootkit"] == "Malware.Rootkit"
    # Only what is no class of attack of its own says nothing.
    assert sum(c == "Other.Undetermined" for c in table.values()) < len(table) / 3


@pytest.mark.parametrize(
    ("texts", "categories", "port", "meant"),
    [
        (["TCP SYN scan of many"], [], None, "SynScan"),
        (["Login failed"], [], 22, "SshBruteForce"),
        (["Login failed"], [], 8000, "BruteForce"),
        (["", "SQL Injection attempt"], ["Recon.Network"], 80, "SqlInjection"),
        (["something"], ["Availability.DoS"], None, "DenialOfService"),
        (["something"], ["Meteo.Fog"], None, UNKNOWN),
        (["Successful login"], [], 22, None),
        (["x"], ["Other.Test"], None, None),
        (["x" * 500 + "port scan"], [], None, UNKNOWN),
    ],
)
def test_what_others_mean(
    texts: list[str], categories: list[str], port: int | None, meant: str | None
) -> None:
    assert class_of(texts, categories, port) == meant
