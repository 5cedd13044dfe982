"""SWRL rules as Protégé's rule tab writes them: blank ``swrl:Imp``, atom lists, annotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_XSD = "http://www.w3.org/2001/XMLSchema#"
_RDF_NIL = "http://www.w3.org/1999/02/22-rdf-syntax-ns#nil"
_SWRLB = "http://www.w3.org/2003/11/swrlb#"
_VARIABLE = "urn:swrl:var#"


@dataclass(frozen=True, slots=True)
class ClassAtom:
    """``Class(?x)``."""

    iri: str
    variable: str


@dataclass(frozen=True, slots=True)
class PairAtom:
    """``objectProperty(?x, ?y)``."""

    iri: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class ValueAtom:
    """``dataProperty(?x, ?value)``."""

    iri: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class BuiltinAtom:
    """``swrlb:name(…)``; arguments are variables (str) or integers."""

    name: str
    arguments: tuple[str | int, ...]


Atom = ClassAtom | PairAtom | ValueAtom | BuiltinAtom


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; rules are known by their label."""

    label: str
    comment: str
    body: tuple[Atom, ...]
    head: tuple[Atom, ...]
    enabled: bool = True
    """False: in the file, but not in force."""

    @property
    def variables(self) -> set[str]:
        """Names, without the question mark."""
        found: set[str] = set()
        for atom in (*self.body, *self.head):
            match atom:
                case ClassAtom(variable=variable):
                    found.add(variable)
                case PairAtom(first=first, second=second) | ValueAtom(first=first, second=second):
                    found |= {first, second}
                case BuiltinAtom(arguments=arguments):
                    found |= {a for a in arguments if isinstance(a, str)}
        return found


def variables_xml(rules: Iterable[Rule]) -> list[str]:
    """Declarations of all variables, as lines."""
    names = sorted({name for rule in rules for name in rule.variables})
    return [f'    <swrl:Variable rdf:about="{_VARIABLE}{name}"/>' for name in names]


def rule_xml(rule: Rule) -> list[str]:
    """One ``swrl:Imp``, as lines."""
    enabled = "true" if rule.enabled else "false"
    return [
        "    <swrl:Imp>",
        f'        <swrla:isRuleEnabled rdf:datatype="{_XSD}boolean">'
        f"{enabled}</swrla:isRuleEnabled>",
        f"        <rdfs:label>{escape(rule.label)}</rdfs:label>",
        f"        <rdfs:comment>{escape(rule.comment)}</rdfs:comment>",
        "        <swrl:body>",
        *_list(rule.body, 3),
        "        </swrl:body>",
        "        <swrl:head>",
        *_list(rule.head, 3),
        "        </swrl:head>",
        "    </swrl:Imp>",
    ]


def _list(atoms: Sequence[Atom], depth: int) -> list[str]:
    first, *rest = atoms
    inner = "    " * (depth + 1)
    lines = ["    " * depth + "<swrl:AtomList>", inner + "<rdf:first>"]
    lines += [inner + "    " + line for line in _atom(first)]
    lines.append(inner + "</rdf:first>")
    if rest:
        lines += [inner + "<rdf:rest>", *_list(rest, depth + 2), inner + "</rdf:rest>"]
    else:
        lines.append(inner + f'<rdf:rest rdf:resource="{_RDF_NIL}"/>')
    return [*lines, "    " * depth + "</swrl:AtomList>"]


def _atom(atom: Atom) -> list[str]:
    match atom:
        case ClassAtom(iri, variable):
            kind, inner = (
                "ClassAtom",
                [("classPredicate", iri), ("argument1", _VARIABLE + variable)],
            )
        case PairAtom(iri, first, second):
            kind, inner = "IndividualPropertyAtom", _predicate(iri, first, second)
        case ValueAtom(iri, first, second):
            kind, inner = "DatavaluedPropertyAtom", _predicate(iri, first, second)
        case BuiltinAtom(name, arguments):
            return [
                "<swrl:BuiltinAtom>",
                f'    <swrl:builtin rdf:resource="{_SWRLB}{name}"/>',
                "    <swrl:arguments>",
                *("        " + line for line in _arguments(arguments)),
                "    </swrl:arguments>",
                "</swrl:BuiltinAtom>",
            ]
    lines = [f'    <swrl:{name} rdf:resource="{escape(value)}"/>' for name, value in inner]
    return [f"<swrl:{kind}>", *lines, f"</swrl:{kind}>"]


def _predicate(iri: str, first: str, second: str) -> list[tuple[str, str]]:
    return [
        ("propertyPredicate", iri),
        ("argument1", _VARIABLE + first),
        ("argument2", _VARIABLE + second),
    ]


def _arguments(arguments: Sequence[str | int]) -> list[str]:
    first, *rest = arguments
    if isinstance(first, int):
        value = f'<rdf:first rdf:datatype="{_XSD}integer">{first}</rdf:first>'
    else:
        value = f'<rdf:first rdf:resource="{_VARIABLE}{first}"/>'
    if rest:
        tail = [
            "    <rdf:rest>",
            *("        " + line for line in _arguments(rest)),
            "    </rdf:rest>",
        ]
    else:
        tail = [f'    <rdf:rest rdf:resource="{_RDF_NIL}"/>']
    return ["<rdf:Description>", "    " + value, *tail, "</rdf:Description>"]
