"""What is written as OWL is what was read, triple by triple."""

from __future__ import annotations

from pyoxigraph import RdfFormat, parse

from rules.scenarios.attack_models import read_models
from rules.scenarios.model_owl import attacks_owl
from rules.shipped_files import models_path


def triples(data: bytes) -> set[str]:
    return {str(quad.triple) for quad in parse(data, format=RdfFormat.RDF_XML)}


def test_every_individual_of_the_shipped_models_says_what_it_is() -> None:
    said: dict[str, set[str]] = {}
    for quad in parse(models_path().read_bytes(), format=RdfFormat.RDF_XML):
        said.setdefault(str(quad.subject), set()).add(quad.predicate.value.rpartition("#")[2])
    mute = {one for one, names in said.items() if not {"label", "comment"} <= names}
    assert len(said) > 400 and mute == set()
    text = models_path().read_text(encoding="utf-8")
    assert ">The attacker A, which an alert names as its source.<" in text
    assert ">Holds before the step syn-flood.<" in text


def test_the_shipped_file_comes_out_as_it_went_in() -> None:
    written = attacks_owl(read_models(models_path())).encode()
    assert triples(written) == triples(models_path().read_bytes())
