"""Rules written as text, put into RDF/XML the way Protégé's rule tab does."""

from __future__ import annotations

import re
from functools import cache
from xml.sax.saxutils import escape, quoteattr

from ontology.checking.terms import Vocabulary, read_vocabulary
from ontology.knowledge_base import ontology_path, read_owl_file
from ontology.vocabulary import NAMESPACE

XSD = "http://www.w3.org/2001/XMLSchema#"
_NIL = '<rdf:rest rdf:resource="http://www.w3.org/1999/02/22-rdf-syntax-ns#nil"/>'


@cache
def known() -> Vocabulary:
    """What the ontology declares."""
    return read_vocabulary([read_owl_file(ontology_path())])


def rule(text: str, label: str = "Tried", comment: str = "A try.", *, enabled: bool = True) -> str:
    """One ``swrl:Imp`` of ``Body(?x), … -> Head(?x)``; literals are ``"text"^^xsdname``."""
    body, _, head = text.partition("->")
    return (
        f"<swrl:Imp>{f'<rdfs:label>{label}</rdfs:label>' if label else ''}"
        f"{f'<rdfs:comment>{comment}</rdfs:comment>' if comment else ''}"
        f'<swrla:isRuleEnabled rdf:datatype="{XSD}boolean">{str(enabled).lower()}'
        f"</swrla:isRuleEnabled><swrl:body>{_list(body)}</swrl:body>"
        f"<swrl:head>{_list(head)}</swrl:head></swrl:Imp>"
    )


def _list(text: str) -> str:
    atoms = re.findall(r"([\w:/.#-]+)\(([^()]*)\)", text)
    out = ""
    for name, arguments in reversed(atoms):
        rest = f"<rdf:rest>{out}</rdf:rest>" if out else _NIL
        atom = _atom(name, [a.strip() for a in arguments.split(",")])
        out = f"<swrl:AtomList><rdf:first>{atom}</rdf:first>{rest}</swrl:AtomList>"
    return out or '<rdf:Description rdf:about="http://www.w3.org/1999/02/22-rdf-syntax-ns#nil"/>'


def _atom(name: str, arguments: list[str]) -> str:
    if name == "differentFrom":
        return f"<swrl:DifferentIndividualsAtom>{_both(arguments)}</swrl:DifferentIndividualsAtom>"
    if name.startswith(("swrlb:", "swrlx:")):
        prefix, _, local = name.partition(":")
        cells = ""
        for argument in reversed(arguments):
            rest = f"<rdf:rest>{cells}</rdf:rest>" if cells else _NIL
            first = _argument("rdf:first", argument)
            cells = f"<rdf:Description>{first}{rest}</rdf:Description>"
        iri = f"http://www.w3.org/2003/11/{prefix}#{local}"
        return (
            f"<swrl:BuiltinAtom><swrl:builtin rdf:resource={quoteattr(iri)}/>"
            f"<swrl:arguments>{cells}</swrl:arguments></swrl:BuiltinAtom>"
        )
    kinds = known().kinds
    iri = name if ":" in name else NAMESPACE + name
    if len(arguments) == 1:
        return (
            f"<swrl:ClassAtom><swrl:classPredicate rdf:resource={quoteattr(iri)}/>"
            f"{_argument('swrl:argument1', arguments[0])}</swrl:ClassAtom>"
        )
    declared = kinds.get(iri, set())
    data = "object property" not in declared or '"' in arguments[1]
    kind = "DatavaluedPropertyAtom" if data else "IndividualPropertyAtom"
    return (
        f"<swrl:{kind}><swrl:propertyPredicate rdf:resource={quoteattr(iri)}/>"
        f"{_both(arguments)}</swrl:{kind}>"
    )


def _both(arguments: list[str]) -> str:
    return "".join(_argument(f"swrl:argument{n}", a) for n, a in enumerate(arguments, 1))


def _argument(tag: str, text: str) -> str:
    if text.startswith("?"):
        return f'<{tag} rdf:resource="urn:swrl:var#{text[1:]}"/>'
    value, _, datatype = text.rpartition("^^")
    return f'<{tag} rdf:datatype="{XSD}{datatype}">{escape(value.strip(chr(34)))}</{tag}>'
