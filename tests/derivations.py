"""What an explanation must be: facts of the window that give the inference, none of them idle."""

from __future__ import annotations

from ontology.chainer.chainer import Chainer
from ontology.reasoner.inferences import Explanation, Inferences
from ontology.reasoner.window import Window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE

RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
Conclusion = tuple[str, ...]
"""(class, individual) or (property, subject, value)"""


def explained(found: Inferences) -> dict[Conclusion, Explanation]:
    return (
        {(_iri(p.property), p.subject, p.object): p.explanation for p in found.pairs}
        | {(_iri(m.name), m.individual): m.explanation for m in found.members}
        | {(_iri(v.property), v.subject, v.value): v.explanation for v in found.values}
    )


def _iri(name: str) -> str:
    """Terms of the scenario rules have a namespace of their own."""
    return name if "#" in name else NAMESPACE + name


def fact_of(line: str) -> Conclusion:
    """A line of a window as an explanation names it."""
    subject, predicate, value = line.removesuffix(" .").split(" ", 2)
    text, name = value.partition("^^")[0][1:-1], predicate[1:-1]
    if name == RDF_TYPE:
        return ("type", subject[1:-1], text)
    return ("prop", name, subject[1:-1], text)


def lines_of(explanation: Explanation, window: Window) -> list[bytes]:
    """The lines of the window that an explanation names; KeyError for a fact that it has not."""
    facts = {fact_of(line.decode()): line for line in window.ntriples.splitlines()}
    return [facts[f.kind, *f.arguments] for f in explanation.facts if f.kind in ("type", "prop")]


def assert_explained(found: Inferences, window: Window, theory: Theory, chainer: Chainer) -> None:
    """Every inference follows from its explanation alone, and not without any fact of it."""
    for conclusion, why in explained(found).items():

        def holds(lines: list[bytes], conclusion: Conclusion = conclusion) -> bool:
            closure = chainer.close(b"\n".join(lines) + b"\n")
            return conclusion in closure.conclusions(theory)

        assert why.rule and why.rule in why.rules, conclusion
        lines = lines_of(why, window)
        assert lines and holds(lines), conclusion
        for one in lines:
            assert not holds([line for line in lines if line != one]), (conclusion, one)
