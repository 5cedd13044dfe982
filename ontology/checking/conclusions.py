"""SWRL rules by what they conclude: pairs of one and the same, values of another kind, no end.

Values are followed through the built-ins as linear forms over what the data properties give, so
that ``subtract(?d, ?t, ?s)`` is known to be 0 where ``?s`` and ``?t`` are one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from pyoxigraph import Literal

from ontology.checking.problem import Found, Level, Problem
from ontology.checking.terms import Vocabulary, value_kind
from ontology.knowledge_base import OwlFile
from ontology.swrl import BUILTIN, CLASS, DATA, OBJECT, Argument, Atom, Rule, Variable, local_name
from ontology.swrl_builtins import BUILTINS

Form = Mapping[object, Decimal]
"""Sum of coefficient · term; the term 1 stands for the constant."""
_FRACTIONS = ("divide", "pow", "sin", "cos", "tan")
_ROUNDED = ("round", "roundHalfToEven", "floor", "ceiling", "integerDivide")
_GROWING = frozenset(("add", "subtract", "multiply", "stringConcat", *_FRACTIONS))
"""Built-ins that give another value each time; the others come to an end."""
_WHOLE = "integer"
_SEPARATES = {
    "lessThan": lambda d: d >= 0,
    "greaterThan": lambda d: d <= 0,
    "lessThanOrEqual": lambda d: d > 0,
    "greaterThanOrEqual": lambda d: d < 0,
    "equal": lambda d: d != 0,
    "notEqual": lambda d: d == 0,
}
"""When a comparison of two values can't hold, by first minus second."""


def check_conclusions(rule: Rule, vocabulary: Vocabulary) -> Found:
    """What one rule alone concludes."""
    values = _Values(rule, {})
    for atom in rule.head:
        if len(atom.arguments) != 2:
            continue
        first, second = atom.arguments
        if atom.kind == DATA and isinstance(second, Variable):
            have, want = values.kind(second, vocabulary), vocabulary.ranges.get(atom.iri, "")
            if have and want and not _holds(want, have):
                yield (
                    "concluded-kind",
                    f"{atom}: {second.name} is {have}, {local_name(atom.iri)} holds "
                    f"{local_name(want)}: one such value makes the whole window inconsistent",
                    "error",
                )
        if (
            atom.kind == OBJECT
            and isinstance(first, Variable)
            and isinstance(second, Variable)
            and first != second
            and _may_be_one(rule, first, second, vocabulary)
        ):
            yield (
                "pair-with-itself",
                f"{atom}: nothing keeps {first.name} and {second.name} apart, so it also holds of "
                "one with itself; compare a time or number of theirs with lessThan or notEqual",
                "warning",
            )


def _holds(range_: str, kind: str) -> bool:
    want = value_kind(range_)
    if want != "number":
        return want == kind
    # Numbers that may have a fraction fit in no integer type.
    return kind == _WHOLE or (
        kind == "number" and local_name(range_) in ("decimal", "double", "float")
    )


def _may_be_one(rule: Rule, a: Variable, b: Variable, vocabulary: Vocabulary) -> bool:
    places: dict[Variable, set[tuple[str, int]]] = defaultdict(set)
    classes: dict[Variable, set[str]] = defaultdict(set)
    for atom in rule.body:
        for place, argument in enumerate(atom.arguments):
            if isinstance(argument, Variable) and atom.kind in (OBJECT, DATA):
                places[argument].add((atom.iri, place))
            elif isinstance(argument, Variable) and atom.kind == CLASS:
                classes[argument].add(atom.iri)
    if not places[a] & places[b]:
        return False  # things of different kinds, or of different roles in a chain
    known = {*vocabulary.kinds, *classes[a], *classes[b]}
    for one in classes[a]:
        for other in classes[b] - {one}:
            if not any({one, other} <= vocabulary.above(iri) for iri in known):
                return False
    # Whoever compares the hosts of two alerts, say, has thought of it: all twins become one.
    twins = {v: next(w for w in places if places[w] & places[v]) for v in places}
    return not _Values(rule, twins | {b: a, a: a}).contradict(rule)


class _Values:
    """What is known of a rule's values if some individuals are taken for others."""

    def __init__(self, rule: Rule, taken_for: Mapping[Variable, Variable]) -> None:
        self._forms: dict[Argument | None, Form] = {}
        self.sources: dict[Argument | None, set[str]] = {}
        """Variable → IRIs of the data properties that it comes from."""
        self.growing: set[Argument | None] = set()
        """Variables with another value each time that their sources have one."""
        self.subjects: dict[str, set[Argument | None]] = {}
        """IRI of a data property → whose values the rule looks at."""
        self._operations: dict[Argument | None, tuple[str, tuple[Argument | None, ...]]] = {}
        for atom in rule.body:
            if atom.kind == DATA and len(atom.arguments) == 2:
                subject, value = atom.arguments
                if isinstance(subject, Variable):
                    subject = taken_for.get(subject, subject)
                # One value each: few properties that rules compare by have more.
                self._forms.setdefault(value, {(atom.iri, subject): Decimal(1)})
                self.sources.setdefault(value, set()).add(atom.iri)
                self.subjects.setdefault(atom.iri, set()).add(subject)
        waiting = [a for a in rule.body if a.kind == BUILTIN and _computes(a)]
        while ready := [a for a in waiting if self._known(a.arguments[1:])]:
            for atom in ready:
                self._compute(atom)
            waiting = [a for a in waiting if a not in ready]

    def contradict(self, rule: Rule) -> bool:
        """Whether one of the comparisons can't hold."""
        for atom in rule.body:
            fails = _SEPARATES.get(local_name(atom.iri)) if atom.kind == BUILTIN else None
            if fails is None or len(atom.arguments) != 2 or not self._known(atom.arguments):
                continue
            one, other = map(self._form, atom.arguments)
            difference = _plus(one, _times(other, Decimal(-1)))
            if not difference.keys() - {1} and fails(difference.get(1, Decimal(0))):
                return True
        return False

    def kind(self, argument: Argument | None, vocabulary: Vocabulary) -> str:
        """``integer``, ``number``, ``string`` or another datatype; empty if nobody knows."""
        if isinstance(argument, Literal):
            return _kind(argument.datatype.value)
        if argument in self._operations:
            name, given = self._operations[argument]
            if BUILTINS[name].kind != "number":
                return "string" if BUILTINS[name].kind == "string" else ""
            kinds = {self.kind(a, vocabulary) for a in given}
            if name in _ROUNDED:
                return _WHOLE  # a decimal without a fraction is an integer, for OWL and Pellet
            if name in _FRACTIONS or "number" in kinds:
                return "number"
            return _WHOLE if kinds == {_WHOLE} else ""
        ranges = {vocabulary.ranges.get(iri, "") for iri in self.sources.get(argument, ())}
        return _kind(ranges.pop()) if len(ranges) == 1 else ""

    def _known(self, arguments: Sequence[Argument | None]) -> bool:
        return all(isinstance(a, Literal) or a in self._forms for a in arguments)

    def _compute(self, atom: Atom) -> None:
        result, *given = atom.arguments
        if result in self._forms:
            return  # then it compares
        name = local_name(atom.iri)
        self._operations[result] = name, tuple(given)
        if name in _GROWING or self.growing & set(given):
            self.growing.add(result)
        self.sources[result] = {s for a in given for s in self.sources.get(a, ())}
        forms = [self._form(a) for a in given]
        constants = [f.get(1, Decimal(0)) for f in forms if not f.keys() - {1}]
        if name == "add":
            total: Form = {}
            for form in forms:
                total = _plus(total, form)
        elif name == "subtract" and len(forms) == 2:
            total = _plus(forms[0], _times(forms[1], Decimal(-1)))
        elif name == "multiply" and len(forms) == 2 and constants:
            other = forms[1] if not forms[0].keys() - {1} else forms[0]
            total = _times(other, constants[0])
        else:
            total = {(name, *(tuple(sorted(f.items(), key=str)) for f in forms)): Decimal(1)}
        self._forms[result] = total

    def _form(self, argument: Argument | None) -> Form:
        if not isinstance(argument, Literal):
            return self._forms[argument]
        try:
            return {1: Decimal(argument.value)} if _kind(argument.datatype.value) else {}
        except InvalidOperation:
            return {("literal", argument.value): Decimal(1)}


def _computes(atom: Atom) -> bool:
    known = BUILTINS.get(local_name(atom.iri))
    return known is not None and known.computes and len(atom.arguments) > 1


def _kind(datatype: str) -> str:
    kind = value_kind(datatype) if datatype else ""
    fractions = local_name(datatype) in ("decimal", "double", "float")
    return kind if kind != "number" or fractions else _WHOLE


def _plus(one: Form, other: Form) -> Form:
    total = {
        term: one.get(term, Decimal(0)) + other.get(term, Decimal(0))
        for term in (*one, *(t for t in other if t not in one))
    }
    return {term: factor for term, factor in total.items() if factor}


def _times(form: Form, factor: Decimal) -> Form:
    return {term: number * factor for term, number in form.items() if factor}


def check_promises(
    rules: Sequence[tuple[OwlFile, Rule]], vocabulary: Vocabulary
) -> Iterator[Problem]:
    """Classes that promise a value which no rule will see, because it has no name (DL-safe)."""
    asked: set[str] = set()
    for _, rule in rules:
        asked |= {a.iri for a in rule.body if a.kind in (OBJECT, DATA)}
    for file, rule in rules:
        for atom in (a for a in rule.head if a.kind == CLASS):
            promised = {
                p for c in vocabulary.above(atom.iri) for p in vocabulary.promised.get(c, ())
            }
            for iri in sorted(p for p in promised if asked & vocabulary.above(p)):
                yield Problem(
                    path=file.path,
                    code="unnamed-individual",
                    where=f"rule {rule.label!r}",
                    message=f"{atom}: each of these has some {local_name(iri)}, but one without a "
                    "name, and rules that ask for it see named individuals only; conclude the "
                    "property itself",
                    level="warning",
                )


def check_endless(
    rules: Sequence[tuple[OwlFile, Rule]], vocabulary: Vocabulary
) -> Iterator[Problem]:
    """Rules whose computed values come back to them, each time as a new one.

    From one individual to the next that ends if the individuals form no circle, so it is a warning;
    about one and the same it never does.
    """
    leads: dict[str, set[str]] = defaultdict(set)
    new: list[tuple[OwlFile, Rule, str, str, Level]] = []
    for file, rule in rules:
        values = _Values(rule, {})
        compared = {
            a
            for atom in rule.body
            if atom.kind == BUILTIN and local_name(atom.iri) in _SEPARATES
            for a in atom.arguments
        }
        for atom in (a for a in rule.head if a.kind == DATA and len(a.arguments) == 2):
            subject, value = atom.arguments
            for source in values.sources.get(value, ()):
                leads[source] |= vocabulary.above(atom.iri)
                if value in values.growing and value not in compared:
                    same = subject in values.subjects[source]
                    level: Level = "error" if same else "warning"
                    new.append((file, rule, source, atom.iri, level))
    for file, rule, source, concluded, level in new:
        reached, waiting = set[str](), [*vocabulary.above(concluded)]
        while waiting:
            iri = waiting.pop()
            if iri not in reached:
                reached.add(iri)
                waiting += leads[iri]
        if source in reached:
            ends = "Pellet never ends"
            if level == "warning":
                ends = "Pellet never ends if the individuals form a circle"
            yield Problem(
                path=file.path,
                code="endless",
                where=f"rule {rule.label!r}",
                message=f"it computes {local_name(concluded)} from {local_name(source)}, which "
                f"follows from that again: {ends}; compare the new value with a bound",
                level=level,
            )
