"""Pictures of classes and rules: well-formed, whole, the same every time."""

from xml.etree import ElementTree

from pyoxigraph import BlankNode, NamedNode

from ontology.authoring.figures import class_tree, rule_graph
from ontology.swrl import CLASS, OBJECT, Atom, Rule, Variable

A, B = Variable("urn:swrl:var#a"), Variable("urn:swrl:var#b")


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314 (our own, made a line above)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


def atom(kind: str, name: str, *arguments: Variable) -> Atom:
    return Atom(kind, NamedNode(f"http://e/x#{name}"), arguments, BlankNode())


def test_a_tree_has_every_class_below_the_one_above_it() -> None:
    below = {"Attack": ["Scan", "Flood"], "Scan": ["SynScan"]}
    assert texts(class_tree(below, "Attack")) == ["Attack", "Flood", "Scan", "SynScan"]
    assert class_tree(below, "Attack") == class_tree(dict(reversed(below.items())), "Attack")


def test_names_are_no_markup() -> None:
    assert texts(class_tree({"A<B": ["C&D"]}, "A<B")) == ["A<B", "C&D"]


def test_a_rule_shows_individuals_classes_and_conclusion() -> None:
    rule = Rule(
        node=BlankNode(),
        label="Follows",
        comment="",
        enabled=True,
        body=(atom(CLASS, "Scan", A), atom(OBJECT, "hasTarget", A, B)),
        head=(atom(OBJECT, "follows", A, B),),
        cells=(),
        broken="",
    )
    shown = " ".join(texts(rule_graph(rule)))
    assert all(word in shown for word in ("?a", "?b", "Scan", "hasTarget", "follows"))
