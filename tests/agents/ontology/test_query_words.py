"""Slips in questions, told in sentences."""

from __future__ import annotations

import pytest
from pyoxigraph import Store

from agents.ontology.query_words import syntax, unknown_terms

IDPS = "https://w3id.org/ontoidps#"
PREFIXES = {"idps": IDPS, "rdfs": "http://www.w3.org/2000/01/rdf-schema#"}
NAMES = ("hasSource", "SynScan", "beginUs")


@pytest.mark.parametrize(
    ("sparql", "told"),
    [
        ("SELCT ?a {}", "DESCRIBE, not 'SELCT': did you mean SELECT?"),
        ("DROP ALL", "DROP would change the archive"),
        ("  ", "the question is empty"),
        ("SELECT ?a { ?a ids:x ?b }", "known without PREFIX: idps, rdfs: did you mean idps?"),
        ("SELECT ?a (COUNT(?b) AS ?n) { ?a ?b ?c }", "belong into GROUP BY"),
        ("SELECT ?a { ?a a idps:Scan ", "1 } too few"),
        ("SELECT ?a {\n?a a idps:Scan ] }", "1 ] too many"),
        ("SELECT ?a {\n?a a }", "line 2, column 7: the question can't be read"),
    ],
)  # fmt: skip
def test_a_slip_of_grammar_is_told_with_its_place(sparql: str, told: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        Store().query(sparql, prefixes=PREFIXES)
    assert told in syntax(sparql, str(caught.value), PREFIXES)


def test_what_is_no_message_of_the_parser_is_told_as_it_is() -> None:
    assert syntax("ASK {}", "out\nof luck", PREFIXES) == "out of luck"


@pytest.mark.parametrize(
    ("sparql", "told"),
    [
        ("ASK { ?a idps:hasSuorce ?b }", "hasSuorce is no term of the ontology: did you mean hasS"),
        ("PREFIX x: <https://w3id.org/ontoidps#> ASK { ?a a x:Synscan }", "did you mean SynScan?"),
        (f"ASK {{ ?a <{IDPS}zzz> ?b }}", "idps:zzz is no term of the ontology"),
        # Neither texts nor comments nor other namespaces name terms.
        ("ASK { ?a idps:beginUs 'idps:none', \"idps:n\" } # idps:none", ""),
        ("ASK { ?a rdfs:labl ?b ; a idps:SynScan }", ""),
        ("PREFIX idps: <urn:other#> ASK { ?a idps:none ?b }", ""),
    ],
)  # fmt: skip
def test_a_term_that_does_not_exist_is_told(sparql: str, told: str) -> None:
    known = {IDPS + name for name in NAMES}
    said = unknown_terms(sparql, IDPS, PREFIXES, known.__contains__, lambda: NAMES)
    assert (told in said) if told else not said
