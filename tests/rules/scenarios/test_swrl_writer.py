"""What the writer writes, the reader of rules reads back."""

from pyoxigraph import RdfFormat, parse

from ontology.swrl import read_rules
from rules.scenarios.swrl_writer import (
    BuiltinAtom,
    ClassAtom,
    PairAtom,
    Rule,
    ValueAtom,
    rule_xml,
    variables_xml,
)

EX = "http://example.org/x#"
RULE = Rule(
    label="A < B & more",
    comment="why it's so",
    body=(
        ClassAtom(EX + "Alert", "a"),
        PairAtom(EX + "hasSource", "a", "h"),
        ValueAtom(EX + "beginUs", "a", "t"),
        BuiltinAtom("add", ("u", "t", 5)),
    ),
    head=(PairAtom(EX + "follows", "a", "h"),),
)


def document(*rules: Rule) -> bytes:
    lines = [
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"',
        ' xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"',
        ' xmlns:swrl="http://www.w3.org/2003/11/swrl#"',
        ' xmlns:swrla="http://swrl.stanford.edu/ontologies/3.3/swrla.owl#">',
        *variables_xml(rules),
        *(line for rule in rules for line in rule_xml(rule)),
        "</rdf:RDF>",
    ]
    return "\n".join(lines).encode()


def test_a_rule_reads_back_as_it_was() -> None:
    (rule,) = read_rules(quad.triple for quad in parse(document(RULE), format=RdfFormat.RDF_XML))
    assert (
        str(rule)
        == "Alert(?a), hasSource(?a, ?h), beginUs(?a, ?t), add(?u, ?t, '5') -> follows(?a, ?h)"
    )
    assert (rule.label, rule.comment, rule.enabled, rule.broken) == (
        RULE.label, RULE.comment, True, "",
    )  # fmt: skip


def test_variables_are_those_of_body_and_head() -> None:
    assert RULE.variables == {"a", "h", "t", "u"}
    assert len(variables_xml([RULE, RULE])) == 4
