"""Axioms read back from a theory: hierarchies closed, what is not understood refused by name."""

import pytest

from ontology.chainer.rulebook import RulebookError, read_rulebook

A, B, C = (f"<http://e/x#{name}>" for name in "ABC")
OWL = "http://www.w3.org/2002/07/owl#"
RDF_TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"


def theory(*triples: tuple[str, str, str]) -> bytes:
    return "".join(f"{s} {p} {o} .\n" for s, p, o in triples).encode()


def test_hierarchies_are_closed_and_reach_domains() -> None:
    book = read_rulebook(
        theory(
            (A, f"<{RDFS}subClassOf>", B),
            (B, f"<{RDFS}subClassOf>", C),
            ("<urn:p>", RDF_TYPE, f"<{OWL}ObjectProperty>"),
            ("<urn:q>", f"<{RDFS}subPropertyOf>", "<urn:p>"),
            ("<urn:p>", f"<{RDFS}domain>", A),
        )
    )
    everything = {"http://e/x#A", "http://e/x#B", "http://e/x#C"}
    assert book.classes_above["http://e/x#A"] == everything
    assert book.properties_above["urn:q"] == {"urn:q", "urn:p"}
    assert book.domains["urn:q"] == everything


def test_characteristics_of_properties() -> None:
    book = read_rulebook(
        theory(
            ("<urn:p>", RDF_TYPE, f"<{OWL}FunctionalProperty>"),
            ("<urn:p>", f"<{OWL}inverseOf>", "<urn:q>"),
            ("<urn:d>", RDF_TYPE, f"<{OWL}DatatypeProperty>"),
        )
    )
    assert book.functional == {"urn:p"}
    assert "urn:q" in book.inverses["urn:p"] and "urn:p" in book.inverses["urn:q"]
    assert book.data_properties == {"urn:d"}


@pytest.mark.parametrize(
    ("triple", "name"),
    [
        (("<urn:p>", RDF_TYPE, f"<{OWL}TransitiveProperty>"), "Transitive"),
        (("<urn:p>", f"<{OWL}propertyChainAxiom>", B), "propertyChainAxiom"),
        ((A, f"<{OWL}complementOf>", B), "complementOf"),
    ],
)
def test_what_the_chainer_does_not_reason_with_is_refused_by_name(
    triple: tuple[str, str, str], name: str
) -> None:
    with pytest.raises(RulebookError, match=name):
        read_rulebook(theory(triple))
