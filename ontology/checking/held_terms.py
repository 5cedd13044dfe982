"""Terms in rules that no window can hold: such a rule never fires, and nothing says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ontology.checking.problem import Problem
from ontology.checking.terms import Vocabulary
from ontology.knowledge_base import OwlFile
from ontology.swrl import CLASS, DATA, OBJECT, Atom, Rule, local_name
from ontology.vocabulary import IDPS
from ontology.window_terms import HELD, INSTEAD, PAPER_TERMS

_TOPS = (IDPS.Attack, IDPS.Host)
"""A window says of alerts and hosts which class below these they are of."""
_OF_HOSTS = frozenset((str(IDPS.Host), str(IDPS.HostOrProfile), str(IDPS.HostProfile)))


def check_windows(
    rules: Sequence[tuple[OwlFile, Rule]], vocabulary: Vocabulary
) -> Iterator[Problem]:
    """One problem for each term of a rule that nothing can be known of.

    Args:
        rules: the enabled ones; what one concludes another may ask for.
    """
    held = _held([rule for _, rule in rules], vocabulary)
    for file, rule in rules:
        for atom in rule.body:
            if atom.kind not in (CLASS, OBJECT, DATA) or not atom.iri or atom.iri in held:
                continue
            if atom.iri not in vocabulary.kinds or local_name(atom.iri) == "Thing":
                continue  # `check_rules` has said so
            yield Problem(
                path=file.path,
                code="never-held",
                where=f"rule {rule.label!r}",
                message=f"{atom}: no window holds {local_name(atom.iri)}, so the rule never "
                f"fires; {_instead(atom, vocabulary)}",
            )


def _held(rules: Sequence[Rule], vocabulary: Vocabulary) -> set[str]:
    """Classes and properties of which something can be known in a window."""
    tops = {iri for top in _TOPS for iri in (str(top), *vocabulary.above(top))}
    given = {str(term) for term in HELD} | PAPER_TERMS | tops | vocabulary.asserted
    given |= {str(IDPS.Alert), str(IDPS.Signature)} | vocabulary.defined
    given |= {c for c in vocabulary.parents if not vocabulary.above(c).isdisjoint(_TOPS)}
    given |= {atom.iri for rule in rules for atom in rule.head}
    held: set[str] = set()
    while given:
        more = {above for iri in given for above in vocabulary.above(iri)}
        for follow in (vocabulary.inverses, vocabulary.places):
            more |= {other for iri in more for other in follow.get(iri, ())}
        given = more - held
        held |= more
    return held


def _instead(atom: Atom, vocabulary: Vocabulary) -> str:
    if atom.kind == CLASS:
        return "ask for a class below Attack or Host, or for one that a rule concludes"
    for term, other in INSTEAD.items():
        if atom.iri == term:
            return f"write {local_name(other)}"
    places = vocabulary.places.get(atom.iri, set())
    of = "Host" if places & _OF_HOSTS else "Alert"
    names = ", ".join(sorted(local_name(term) for term, (what, _) in HELD.items() if what == of))
    return f"of {'a host' if of == 'Host' else 'an alert'} windows hold {names}"
