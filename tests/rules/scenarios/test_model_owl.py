"""What is written as OWL is what was read, triple by triple."""

from __future__ import annotations

from pyoxigraph import RdfFormat, parse

from rules.scenarios.attack_models import read_models
from rules.scenarios.model_owl import attacks_owl
from rules.shipped_files import models_path


def triples(data: bytes) -> set[str]:
    return {str(quad.triple) for quad in parse(data, format=RdfFormat.RDF_XML)}


def test_the_shipped_file_comes_out_as_it_went_in() -> None:
    written = attacks_owl(read_models(models_path())).encode()
    assert triples(written) == triples(models_path().read_bytes())
