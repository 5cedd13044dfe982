"""Attack models in the manner of LAMBDA, read from ``attacks.owl`` and checked.

A model has preconditions, postconditions and the classes of alerts that are evidence of it. The
file is edited by people in Protégé, so every slip gets a line that names file, model and reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from ontology.safe_xml import check_xml, other_syntax
from ontology.taxonomy import ATTACK_CLASSES
from ontology.vocabulary import IDPS, NAMESPACE
from rules.scenarios.model_words import EVALUATED, ill_formed, is_branch

KINDS = {
    IDPS.ActionModel: "action",
    IDPS.ObjectiveModel: "objective",
    IDPS.CountermeasureModel: "countermeasure",
    IDPS.OntologicalRule: "rule",
}
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_MODELS = 1000
SLOTS = (IDPS.firstTerm, IDPS.secondTerm, IDPS.thirdTerm)
BINDINGS = ("", "source", "target")
_RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_COMMENT = "http://www.w3.org/2000/01/rdf-schema#comment"
_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
_XSD_TRUE = ("true", "1")


class ModelError(ValueError):
    """The models can't be used; one line per slip, each naming file, model and reason."""


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """A typed variable of one model, or a constant."""

    name: str
    type: str
    bound_to: str = ""
    """Which end of an alert names it: ``source``, ``target`` or neither ("")."""
    constant: bool = False

    def __str__(self) -> str:
        return f"'{self.name}'" if self.constant else self.name


@dataclass(frozen=True, slots=True)
class Predicate:
    """A fact that models speak of."""

    name: str
    types: tuple[str, ...]
    """Of its arguments."""
    capability: bool = False
    """The attacker has it until a countermeasure takes it away."""
    comment: str = ""

    @property
    def evaluated(self) -> bool:
        """Is it looked up, and brought about by no step?"""
        return self.name in EVALUATED


@dataclass(frozen=True, slots=True)
class Condition:
    """A predicate over terms: ``not(p(…))``, ``knows(A, p(…))`` or plain."""

    predicate: Predicate
    terms: tuple[Term, ...]
    negated: bool = False
    known_by: Term | None = None

    def __str__(self) -> str:
        text = f"{self.predicate.name}({', '.join(map(str, self.terms))})"
        if self.known_by is not None:
            text = f"knows({self.known_by}, {text})"
        return f"not({text})" if self.negated else text


@dataclass(frozen=True, slots=True)
class Model:
    """An action, objective, countermeasure or ontological rule."""

    name: str
    kind: str
    """One of the values of `KINDS`."""
    comment: str
    pre: tuple[Condition, ...]
    """For an objective, its state."""
    post: tuple[Condition, ...]
    evidence: tuple[str, ...]
    """Local names of attack classes, sorted."""
    scenarios: tuple[str, ...]
    """Names, sorted; () plays in all of them."""
    d3fend: tuple[str, ...] = ()
    needs_all: bool = False
    ports: tuple[str, ...] = ()
    """``6379/tcp``: an alert on another port is no evidence; () any port is."""
    cves: tuple[str, ...] = ()
    """An alert that names none of these vulnerabilities is no evidence; () any is."""
    techniques: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()
    """Of MITRE ATT&CK: ``T1110.001`` serves ``TA0006``; sorted."""

    @property
    def needed(self) -> tuple[Condition, ...]:
        """Preconditions that another step has to bring about.

        Not capabilities, not what is looked up, and not what must *not* hold: that is so until
        somebody says otherwise.
        """
        return tuple(
            c
            for c in self.pre
            if not (c.predicate.capability or c.predicate.evaluated or c.negated)
        )

    @property
    def broad(self) -> bool:
        """Is it evidenced by a whole branch of the taxonomy, which says little by itself?"""
        return any(map(is_branch, self.evidence))

    @property
    def title(self) -> str:
        """``syn-flood(A, H1)``."""
        variables: dict[str, None] = {}
        for condition in (*self.pre, *self.post):
            known = [condition.known_by] if condition.known_by is not None else []
            variables |= {t.name: None for t in (*known, *condition.terms) if not t.constant}
        return f"{self.name}({', '.join(variables)})"

    def shares_scenario(self, other: Model) -> bool:
        """Do both play in one scenario (or one of them in all)?"""
        if not self.scenarios or not other.scenarios:
            return True
        return not set(self.scenarios).isdisjoint(other.scenarios)


@dataclass(frozen=True, slots=True)
class Models:
    """Everything that the file says, in order of name."""

    models: tuple[Model, ...]
    scenarios: Mapping[str, tuple[str, str]]
    """Name → (label, comment)."""
    predicates: tuple[Predicate, ...] = ()
    """All that are declared, in order of name."""

    def of_kind(self, *kinds: str) -> tuple[Model, ...]:
        """Models of these kinds."""
        return tuple(model for model in self.models if model.kind in kinds)

    def by_name(self, name: str) -> Model:
        """Raises: KeyError."""
        return {model.name: model for model in self.models}[name]


def read_models(path: Path) -> Models:
    """Read and check the models.

    Raises: ModelError (a ValueError), OSError.
    """
    with path.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    return parse_models(data, str(path))


def parse_models(data: bytes, name: str) -> Models:
    """The same from bytes of RDF/XML; ``name`` stands in messages."""
    try:
        check_xml(data)
        reader = _Reader(data, name)
    except (SyntaxError, ValueError, ExpatError) as e:
        reason = other_syntax(data) or " ".join(str(e).split())
        raise ModelError(f"{name}: not RDF/XML: {reason}") from e
    models = reader.models()
    if reader.slips:
        raise ModelError("\n".join(f"{name}: {slip}" for slip in reader.slips))
    return models


class _Reader:
    """One pass over the triples; slips are gathered, so that a person sees all of them at once."""

    def __init__(self, data: bytes, name: str) -> None:
        self._of: dict[str, dict[str, list[NamedNode | Literal]]] = {}
        self.slips: list[str] = []
        for quad in parse(data, format=RdfFormat.RDF_XML):
            subject, value = quad.subject, quad.object
            if isinstance(subject, NamedNode) and isinstance(value, NamedNode | Literal):
                properties = self._of.setdefault(subject.value, {})
                properties.setdefault(quad.predicate.value, []).append(value)

    def models(self) -> Models:
        predicates = {i: self._predicate(i) for i in self._instances(IDPS.ModelPredicate)}
        scenarios = {
            i: (self._text(i, IDPS.modelName), self._english(i, _LABEL), self._english(i, _COMMENT))
            for i in self._instances(IDPS.AttackScenario)
        }
        found: dict[str, Model] = {}
        for class_, kind in KINDS.items():
            for individual in self._instances(class_):
                model = self._model(individual, kind, predicates, scenarios)
                if model.name in found:
                    self.slips.append(f"two models are named {model.name!r}")
                found[model.name] = model
        if len(found) > MAX_MODELS:
            self.slips.append(f"{len(found)} models, at most {MAX_MODELS} are taken")
        if not found:
            self.slips.append("no ActionModel, ObjectiveModel, CountermeasureModel in it")
        return Models(
            models=tuple(found[name] for name in sorted(found)),
            scenarios={
                name: (label, comment) for name, label, comment in sorted(scenarios.values())
            },
            predicates=tuple(sorted(predicates.values(), key=lambda p: p.name)),
        )

    def _model(
        self,
        individual: str,
        kind: str,
        predicates: Mapping[str, Predicate],
        scenarios: Mapping[str, tuple[str, str, str]],
    ) -> Model:
        name = self._text(individual, IDPS.modelName)
        if not name:
            name = _short(individual)
            self.slips.append(f"model {name!r} has no modelName")
        model = Model(
            name=name,
            kind=kind,
            comment=self._english(individual, _COMMENT),
            pre=self._conditions(individual, IDPS.hasPrecondition, name, predicates),
            post=self._conditions(individual, IDPS.hasPostcondition, name, predicates),
            evidence=tuple(sorted(self._texts(individual, IDPS.evidencedBy))),
            scenarios=tuple(
                sorted(
                    scenarios[i][0] for i in self._links(individual, IDPS.partOfScenario, scenarios)
                )
            ),
            d3fend=tuple(sorted(self._texts(individual, IDPS.d3fendId))),
            needs_all=self._is(individual, IDPS.needsAll),
            ports=self._codes(individual, IDPS.evidencedOnPort, name),
            cves=self._codes(individual, IDPS.exploitsCve, name),
            techniques=self._codes(individual, IDPS.techniqueId, name),
            tactics=self._codes(individual, IDPS.tacticId, name),
        )
        for scenario in self._iris(individual, IDPS.partOfScenario):
            if scenario not in scenarios:
                self.slips.append(f"model {name!r}: no AttackScenario {_short(scenario)!r}")
        self._check(model)
        return model

    def _check(self, model: Model) -> None:
        name, slips = model.name, self.slips
        for class_ in model.evidence:
            if class_ not in ATTACK_CLASSES:
                slips.append(f"model {name!r}: evidencedBy {class_!r} is no class under Attack")
        if model.kind != "action" and model.evidence:
            slips.append(f"model {name!r}: only an action is evidenced by alerts")
        if model.kind == "action" and not model.evidence:
            slips.append(f"model {name!r}: an action needs evidencedBy, or no alert can mean it")
        if not model.pre:
            slips.append(f"model {name!r} has no hasPrecondition")
        if model.kind == "objective" and model.post:
            slips.append(f"model {name!r}: an objective is a state, it has no hasPostcondition")
        if model.kind != "objective" and not model.post:
            slips.append(f"model {name!r} has no hasPostcondition")
        types: dict[str, str] = {}
        for condition in (*model.pre, *model.post):
            terms = [*condition.terms, *([condition.known_by] if condition.known_by else [])]
            for term in terms:
                if not term.constant and types.setdefault(term.name, term.type) != term.type:
                    slips.append(
                        f"model {name!r}: variable {term.name} is of type {types[term.name]} "
                        f"and of type {term.type}"
                    )
        if model.kind == "rule":
            if len(model.pre) > 1:
                slips.append(f"rule {name!r} takes one hasPrecondition, has {len(model.pre)}")
            before = {t.name for c in model.pre for t in (*c.terms, c.known_by) if t is not None}
            for condition in model.post:
                for used in (*condition.terms, condition.known_by):
                    if used is not None and not used.constant and used.name not in before:
                        slips.append(
                            f"rule {name!r}: variable {used.name} of {condition} is unbound: it is "
                            "in no precondition"
                        )

    def _conditions(
        self, individual: str, role: str, model: str, predicates: Mapping[str, Predicate]
    ) -> tuple[Condition, ...]:
        found = []
        for iri in sorted(self._iris(individual, role)):
            condition = self._condition(iri, model, predicates)
            if condition is not None:
                found.append(condition)
        return tuple(found)

    def _condition(
        self, iri: str, model: str, predicates: Mapping[str, Predicate]
    ) -> Condition | None:
        where = f"model {model!r}, condition {_short(iri)}"
        named = self._iris(iri, IDPS.ofPredicate)
        if len(named) != 1:
            self.slips.append(f"{where}: needs one ofPredicate, has {len(named)}")
            return None
        predicate = predicates.get(named[0])
        if predicate is None:
            self.slips.append(f"{where}: unknown predicate {_short(named[0])!r}")
            return None
        slots = [self._iris(iri, slot) for slot in SLOTS]
        if any(len(slot) > 1 for slot in slots):
            self.slips.append(f"{where}: two values for one argument")
            return None
        count = sum(map(len, slots))
        if count != len(predicate.types) or not all(slots[:count]):
            self.slips.append(
                f"{where}: {predicate.name} takes {len(predicate.types)} arguments "
                f"({' '.join(predicate.types)}), has {count}"
            )
            return None
        terms = tuple(self._term(slot[0], where) for slot in slots[:count])
        for number, (term, type_) in enumerate(zip(terms, predicate.types, strict=True), 1):
            if term.type != type_:
                self.slips.append(
                    f"{where}: argument {number} of {predicate.name} is of type {type_}, "
                    f"{term} is of type {term.type or 'none'}"
                )
        knower = self._iris(iri, IDPS.knownBy)
        return Condition(
            predicate,
            terms,
            negated=self._is(iri, IDPS.negated),
            known_by=self._term(knower[0], where) if knower else None,
        )

    def _term(self, iri: str, where: str) -> Term:
        if self._types(iri).isdisjoint((IDPS.ModelVariable, IDPS.ModelConstant)):
            self.slips.append(f"{where}: {_short(iri)!r} is no ModelVariable and no ModelConstant")
        bound_to = self._text(iri, IDPS.boundTo)
        if bound_to not in BINDINGS:
            self.slips.append(f"{where}: boundTo must be source or target, got {bound_to!r}")
        return Term(
            name=self._text(iri, IDPS.termName),
            type=self._text(iri, IDPS.termType),
            bound_to=bound_to,
            constant=IDPS.ModelConstant in self._types(iri),
        )

    def _predicate(self, iri: str) -> Predicate:
        name = self._text(iri, IDPS.modelName)
        types = tuple(self._text(iri, IDPS.parameterTypes).split())
        if not name:
            self.slips.append(f"predicate {_short(iri)!r} has no modelName")
        if not 1 <= len(types) <= len(SLOTS):
            self.slips.append(f"predicate {name!r}: 1 to {len(SLOTS)} parameterTypes are needed")
        return Predicate(name, types, self._is(iri, IDPS.capability), self._english(iri, _COMMENT))

    def _links(self, individual: str, role: str, known: Iterable[str]) -> list[str]:
        return [iri for iri in self._iris(individual, role) if iri in set(known)]

    def _instances(self, class_: str) -> list[str]:
        return sorted(iri for iri in self._of if class_ in self._types(iri))

    def _types(self, iri: str) -> set[str]:
        return set(self._iris(iri, _RDF_TYPE))

    def _iris(self, iri: str, role: str) -> list[str]:
        values = self._of.get(iri, {}).get(role, ())
        return [value.value for value in values if isinstance(value, NamedNode)]

    def _texts(self, iri: str, role: str) -> list[str]:
        values = self._of.get(iri, {}).get(role, ())
        return [value.value.strip() for value in values if isinstance(value, Literal)]

    def _codes(self, iri: str, role: str, model: str) -> tuple[str, ...]:
        values = tuple(sorted(self._texts(iri, role)))
        for value in ill_formed(role, values):
            self.slips.append(f"model {model!r}: {_short(role)} can't be {value!r}")
        return values

    def _text(self, iri: str, role: str) -> str:
        return next(iter(sorted(self._texts(iri, role))), "")

    def _english(self, iri: str, role: str) -> str:
        values = [v for v in self._of.get(iri, {}).get(role, ()) if isinstance(v, Literal)]
        values.sort(key=lambda v: (v.language not in (None, "en"), v.value))
        return values[0].value if values else ""

    def _is(self, iri: str, role: str) -> bool:
        return self._text(iri, role) in _XSD_TRUE


def _short(iri: str) -> str:
    return iri.removeprefix(NAMESPACE).rpartition("#")[2]
