"""What a worker says, as inferences: local names, premises by number, the rule with this head."""

from ontology.reasoner.answers import as_fact, read_answer
from ontology.reasoner.inferences import Fact
from ontology.theory import RuleInfo
from ontology.vocabulary import IDPS, NAMESPACE

RULE = RuleInfo(
    label="ScanThenGuess",
    comment="one after the other",
    pairs=(NAMESPACE + "correlatedWith",),
    classes=(),
    values=(),
)
OTHER = RuleInfo(
    label="Other", comment="", pairs=(), classes=(str(IDPS.BlockCandidate),), values=()
)
TERMS = [
    ["rule", "urn:ontoidps:rule:ScanThenGuess"],
    ["type", "urn:a", "urn:SynScan"],
    ["rule", "urn:ontoidps:rule:Other"],
    ["rule"],
]


def test_premises_are_facts_and_rules_and_the_rule_is_the_one_that_concludes_it() -> None:
    head = {
        "terms": TERMS,
        "pairs": [[NAMESPACE + "correlatedWith", "urn:a", "urn:b", [0, 1, 2]]],
        "members": [[str(IDPS.BlockCandidate), "urn:b", [1]]],
        "values": [["urn:elsewhere#size", "urn:a", "7", "urn:int", [1, 3]]],
        "took_us": 5,
    }
    found = read_answer(head, [RULE, OTHER])
    (pair,), (member,), (value,) = found.pairs, found.members, found.values
    assert (pair.property, pair.subject, pair.object) == ("correlatedWith", "urn:a", "urn:b")
    assert pair.explanation.rule == "ScanThenGuess"
    assert pair.explanation.comment == "one after the other"
    assert pair.explanation.rules == ("Other", "ScanThenGuess")
    assert pair.explanation.facts == (Fact("type", ("urn:a", "urn:SynScan")),)
    # Without a rule among the premises nobody knows which one it was.
    assert (member.name, member.explanation.rule) == ("BlockCandidate", "")
    assert (value.property, value.value) == ("urn:elsewhere#size", "7")
    assert found.reasoning_us == 5


def test_a_rule_is_no_fact() -> None:
    assert as_fact(["rule", "urn:r"]) is None
    assert as_fact(["subclass", "urn:a", "urn:b"]) == Fact("subclass", ("urn:a", "urn:b"))
