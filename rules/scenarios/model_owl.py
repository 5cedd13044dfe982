"""Attack models written as ``attacks.owl``: what `attack_models` reads, with names as people give.

The counterpart of `rules.scenarios.attack_models`: the same models give the same file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape as _escape

from ontology.vocabulary import NAMESPACE, ONTOLOGY_IRI
from rules.scenarios.attack_models import KINDS, Condition, Model, Models, Term
from rules.scenarios.compile import upper_camel

ATTACKS_IRI = ONTOLOGY_IRI + "/attacks"
_CLASS = {kind: iri.removeprefix(NAMESPACE) for iri, kind in KINDS.items()}
_SLOTS = ("firstTerm", "secondTerm", "thirdTerm")
_WHEN = {
    ("pre", "action"): "Holds before the step {}.",
    ("post", "action"): "Holds after the step {}.",
    ("pre", "objective"): "Holds where the objective {} is reached.",
    ("pre", "countermeasure"): "Holds before the countermeasure {}.",
    ("post", "countermeasure"): "Holds after the countermeasure {}.",
    ("pre", "rule"): "From this follows what the rule {} says.",
    ("post", "rule"): "Follows by the rule {}.",
}
"""What a condition is for, in words."""


def attacks_owl(models: Models) -> str:
    """The whole file as RDF/XML, individuals sorted by name."""
    return _Writer(models).text()


def escape(text: str) -> str:
    """Text of an element; XML would read a carriage return as a line feed."""
    return _escape(text, {"\r": "&#13;"})


class _Writer:
    def __init__(self, models: Models) -> None:
        self._models = models
        self._taken: dict[str, object] = {}
        self._names: dict[object, str] = {}
        self._blocks: dict[str, list[str]] = {}

    def text(self) -> str:
        for name, (label, comment) in self._models.scenarios.items():
            lines = _values(modelName=name)
            self._block(
                self._name("Scenario_" + _camel(name), ("scenario", name)),
                "AttackScenario",
                lines,
                label,
                comment,
            )
        for predicate in self._models.predicates:
            lines = [*_flags(capability=predicate.capability)]
            lines += _values(modelName=predicate.name, parameterTypes=" ".join(predicate.types))
            name = self._name("Predicate_" + _camel(predicate.name), predicate.name)
            self._block(name, "ModelPredicate", lines, predicate.name, predicate.comment)
        for model in self._models.models:
            self._model(model)
        parts = [_HEAD]
        for name in sorted(self._blocks):
            # XML allows no "--" in a comment; Protégé writes it in this way, too.
            said = name.replace("--", "&#45;&#45;")
            parts += ["", "", f"    <!-- {ATTACKS_IRI}#{said} -->", "", *self._blocks[name]]
        return "\n".join([*parts, "</rdf:RDF>"]) + "\n"

    def _model(self, model: Model) -> None:
        name = self._name(upper_camel(_word(model.name)), ("model", model.name))
        lines: list[str] = []
        for technique in model.d3fend:
            lines += _values(d3fendId=technique)
        for port in model.ports:
            lines += _values(evidencedOnPort=port)
        for cve in model.cves:
            lines += _values(exploitsCve=cve)
        for technique in model.techniques:
            lines += _values(techniqueId=technique)
        for tactic in model.tactics:
            lines += _values(tacticId=tactic)
        for class_ in model.evidence:
            lines += _values(evidencedBy=class_)
        for role, conditions in (("post", model.post), ("pre", model.pre)):
            digits = len(str(len(conditions)))
            for number, condition in enumerate(conditions, 1):
                # Read back in order of name: pre01 … pre10.
                one = self._name(f"{name}_{role}{number:0{digits}}", object())
                property_ = "hasPostcondition" if role == "post" else "hasPrecondition"
                lines.append(_link(property_, one))
                self._condition(one, name, condition, self._when(role, model))
        lines += _values(modelName=model.name)
        lines += _flags(needsAll=model.needs_all)
        for scenario in model.scenarios:
            lines.append(_link("partOfScenario", self._names["scenario", scenario]))
        self._block(name, _CLASS[model.kind], lines, model.name, model.comment)

    @staticmethod
    def _when(role: str, model: Model) -> str:
        # An objective has no postcondition: whoever reads the file says so.
        return _WHEN.get((role, model.kind), "").format(model.name)

    def _condition(self, name: str, model: str, condition: Condition, comment: str) -> None:
        lines = [
            _link(slot, self._term(model, term))
            for slot, term in zip(_SLOTS, condition.terms, strict=False)
        ]
        if condition.known_by is not None:
            lines.append(_link("knownBy", self._term(model, condition.known_by)))
        lines += _flags(negated=condition.negated)
        lines.append(_link("ofPredicate", self._names[condition.predicate.name]))
        self._block(name, "ModelCondition", lines, str(condition), comment)

    def _term(self, model: str, term: Term) -> str:
        key: object = term if term.constant else (model, term)
        if key in self._names:
            return self._names[key]
        begin = "Constant_" if term.constant else f"{model}_"
        name = self._name(begin + _word(term.name), key)
        lines = _values(boundTo=term.bound_to, termName=term.name, termType=term.type)
        comment = f"The {term.type} {term.name}" + (
            f", which an alert names as its {term.bound_to}." if term.bound_to else "."
        )
        kind = "ModelConstant" if term.constant else "ModelVariable"
        self._block(name, kind, lines, str(term), comment)
        return name

    def _name(self, wanted: str, key: object) -> str:
        """A name that nothing else has, by which ``key`` is known from now on."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken[name] = key
        self._names[key] = name
        return name

    def _block(
        self, name: str, class_: str, lines: Iterable[str], label: str, comment: str
    ) -> None:
        said = [f'<rdfs:comment xml:lang="en">{escape(comment)}</rdfs:comment>'] if comment else []
        self._blocks[name] = [
            f'    <owl:NamedIndividual rdf:about="{ATTACKS_IRI}#{name}">',
            f'        <rdf:type rdf:resource="{NAMESPACE}{class_}"/>',
            *("        " + line for line in (*lines, *said)),
            f'        <rdfs:label xml:lang="en">{escape(label)}</rdfs:label>',
            "    </owl:NamedIndividual>",
        ]


def _word(text: str) -> str:
    """What may stand in an IRI and in a name of XML."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in text)


def _camel(name: str) -> str:
    """``deny-of-service`` to ``denyOfService``."""
    camel = upper_camel(_word(name))
    return camel[:1].lower() + camel[1:]


def _values(**named: str) -> list[str]:
    return [f"<idps:{name}>{escape(text)}</idps:{name}>" for name, text in named.items() if text]


def _flags(**named: bool) -> Iterator[str]:
    for name, on in named.items():
        if on:
            datatype = "http://www.w3.org/2001/XMLSchema#boolean"
            yield f'<idps:{name} rdf:datatype="{datatype}">true</idps:{name}>'


def _link(property_: str, name: str) -> str:
    return f'<idps:{property_} rdf:resource="{ATTACKS_IRI}#{name}"/>'


_HEAD = f"""<?xml version="1.0"?>
<rdf:RDF xmlns="{ATTACKS_IRI}#"
     xml:base="{ATTACKS_IRI}"
     xmlns:owl="http://www.w3.org/2002/07/owl#"
     xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
     xmlns:xml="http://www.w3.org/XML/1998/namespace"
     xmlns:xsd="http://www.w3.org/2001/XMLSchema#"
     xmlns:idps="{NAMESPACE}"
     xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#">
    <owl:Ontology rdf:about="{ATTACKS_IRI}">
        <owl:versionIRI rdf:resource="{ATTACKS_IRI}/1.0.0"/>
        <owl:imports rdf:resource="{ONTOLOGY_IRI}"/>
        <rdfs:comment xml:lang="en">Models of attacks, objectives and countermeasures in the \
manner of LAMBDA (Cuppens and Ortalo 2000). After an edit, run: ontoidps rules \
compile.</rdfs:comment>
        <rdfs:label xml:lang="en">OntoIDPS attack models</rdfs:label>
        <owl:versionInfo>1.0.0</owl:versionInfo>
    </owl:Ontology>
"""
