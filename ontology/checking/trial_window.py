"""The windows in which a rule costs most: every alert takes part in it, at very few hosts.

Each variable of the body that stands for an alert becomes a share of the window's alerts, all of
them with what the body asks of that variable; each that stands for a host becomes a few hosts, so
that sixty alerts meet at each honeypot. Whatever the rule joins meets all that it can be joined
with there, whether windows often look like that or not: attackers choose what they look like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from pyoxigraph import Literal, NamedNode

from ontology.chainer.builtins import TESTS, literal
from ontology.checking.terms import Vocabulary, value_kind
from ontology.reasoner.window import Window
from ontology.swrl import BUILTIN, CLASS, DATA, OBJECT, RDF, Argument, Rule, Variable, local_name
from ontology.vocabulary import HOST_PREFIX, IDPS

HONEYPOT_ALERTS = 60
"""That meet at one honeypot. Rules that join two or three alerts by the target alone have room for
them; where more meet, agents halve the window."""
SOURCE_ALERTS = 30
"""Of one source. Agents have room for 32 in a window (`docs/reasoner.md`)."""
ENDS = 8
"""Other alerts that one is tied to where a rule reads what other rules conclude of pairs."""
_XSD = "http://www.w3.org/2001/XMLSchema#"
_STEP = 1_000_000
"""Between values of neighbours that are compared with each other; of times one second."""
_ROLES = (IDPS.involvesSource, IDPS.involvesTarget)
_OF_SIGNATURES = frozenset((IDPS.matchedSignature, IDPS.signatureId, IDPS.Signature))
_SWAPPED = {
    "lessThan": "greaterThan",
    "greaterThan": "lessThan",
    "lessThanOrEqual": "greaterThanOrEqual",
    "greaterThanOrEqual": "lessThanOrEqual",
}


def trial_window(rule: Rule, vocabulary: Vocabulary, alerts: int) -> Window:
    """The window for one rule.

    Args:
        vocabulary: of all files together.
        alerts: at most so many in it; hosts, if the rule speaks of no alert.
    """
    return _Shape(rule, vocabulary, alerts).window()


def joined_alerts(rule: Rule, vocabulary: Vocabulary) -> int:
    """How many alerts a rule joins; 1 for one that speaks of hosts alone."""
    return max(1, len(_alert_variables(rule, vocabulary)))


def _hosts(rule: Rule, vocabulary: Vocabulary) -> dict[Variable, set[str]]:
    """Variable that stands for a host → as what alerts name it."""
    found: dict[Variable, set[str]] = {}
    for atom in rule.body:
        last = atom.arguments[-1] if atom.arguments else None
        if not isinstance(last, Variable):
            continue
        above = vocabulary.above(atom.iri)
        if atom.kind == OBJECT and not above.isdisjoint(_ROLES):
            found.setdefault(last, set()).update(above.intersection(_ROLES))
        elif atom.kind == CLASS and IDPS.Host in above:
            found.setdefault(last, set())
    return found


def _alert_variables(rule: Rule, vocabulary: Vocabulary) -> list[Variable]:
    hosts = _hosts(rule, vocabulary)
    named = (
        a
        for atom in rule.body
        if atom.kind in (CLASS, OBJECT, DATA)
        for a in (atom.arguments[:1] if atom.kind == DATA else atom.arguments)
        if isinstance(a, Variable) and a not in hosts
    )
    return list(dict.fromkeys(named))


class _Shape:
    def __init__(self, rule: Rule, vocabulary: Vocabulary, size: int) -> None:
        self._rule = rule
        self._vocabulary = vocabulary
        self._hosts = _hosts(rule, vocabulary)
        self._alerts = _alert_variables(rule, vocabulary)
        # Shared out like alerts, but nothing is both: the window would contradict itself.
        self._signatures = {
            atom.arguments[0 if atom.iri == IDPS.signatureId else -1]
            for atom in rule.body
            if atom.iri in _OF_SIGNATURES and atom.arguments
        }
        self._each = max(1, size // max(1, len(self._alerts)))
        self._sources = max(1, size // SOURCE_ALERTS)
        self._honeypots = max(1, size // HONEYPOT_ALERTS)
        self._values = _Values(rule, vocabulary)

    def window(self) -> Window:
        lines = sorted(set(self._lines()))
        text = "\n".join((*lines, ""))
        return Window(text.encode("utf-8"), max(1, len(self._alerts)) * self._each)

    def _lines(self) -> Iterator[str]:
        for variables, kind in ((self._alerts, IDPS.Alert), (self._hosts, IDPS.Host)):
            for variable in variables:
                name = IDPS.Signature if variable in self._signatures else kind
                for one in self._individuals(variable):
                    yield f"{one} <{RDF}type> <{name}> ."
        for number, variable in enumerate(self._hosts):
            for group, one in enumerate(self._individuals(variable)):
                address = f'"192.0.2.{number % 8 * 32 + group % 32}"^^<{_XSD}string>'
                yield f"{one} <{IDPS.ipAddress}> {address} ."
        for atom in self._rule.body:
            if atom.kind not in (CLASS, OBJECT, DATA):
                continue
            subjects = self._individuals(atom.arguments[0])
            if atom.kind == CLASS:
                yield from (f"{one} <{RDF}type> <{atom.iri}> ." for one in subjects)
            elif atom.kind == OBJECT:
                for place, one in enumerate(subjects):
                    for end in self._ends(atom.arguments[1], place, len(subjects)):
                        yield f"{one} <{atom.iri}> {end} ."
                if all(a in self._alerts for a in atom.arguments):
                    yield from self._path(atom.iri)
            elif atom.kind == DATA and atom.iri != IDPS.ipAddress:
                for place, one in enumerate(subjects):
                    value = self._values.of(atom.arguments, atom.iri, place)
                    yield f"{one} <{atom.iri}> {value} ."

    def _individuals(self, argument: Argument | None) -> list[str]:
        if isinstance(argument, NamedNode):
            return [str(argument)]
        if not isinstance(argument, Variable):
            return []
        if argument in self._hosts:
            number = list(self._hosts).index(argument)
            count = self._sources if self._is_source(argument) else self._honeypots
            count = count if self._alerts else self._each
            return [f"<{HOST_PREFIX}trial-{number}-{group}>" for group in range(count)]
        number = self._alerts.index(argument)
        return [f"<urn:ontoidps:trial:{n:04}-{number}>" for n in range(self._each)]

    def _ends(self, argument: Argument | None, place: int, count: int) -> Iterable[str]:
        """Of the individual at this place among so many."""
        ends = self._individuals(argument)
        if argument in self._hosts:
            return ends[place * len(ends) // count :][:1]
        return (ends[(place + n) % len(ends)] for n in range(min(ENDS, len(ends))))

    def _path(self, iri: str) -> Iterator[str]:
        """From each alert to the next, through all: what follows of a rule that feeds itself."""
        every = sorted(one for variable in self._alerts for one in self._individuals(variable))
        return (f"{one} <{iri}> {other} ." for one, other in pairwise(every))

    def _is_source(self, variable: Variable) -> bool:
        """A host that is nothing but the source of alerts."""
        return self._hosts.get(variable) == {IDPS.involvesSource}


class _Values:
    """Values that the comparisons of the body let through, as far as that can be seen."""

    def __init__(self, rule: Rule, vocabulary: Vocabulary) -> None:
        self._ranges: Mapping[str, str] = vocabulary.ranges
        read = [a.arguments[1] for a in rule.body if a.kind == DATA and len(a.arguments) == 2]
        self._joined = {v for v in read if read.count(v) > 1}
        self._tests: dict[Argument | None, list[tuple[str, Literal]]] = {}
        self._constants: list[Literal] = []
        self._numbers = {v: n for n, v in enumerate(dict.fromkeys(read))}
        for atom in rule.body:
            if atom.kind != BUILTIN:
                continue
            self._constants += [a for a in atom.arguments if isinstance(a, Literal)]
            name, arguments = local_name(atom.iri), atom.arguments
            if len(arguments) == 2 and isinstance(arguments[1], Literal):
                self._tests.setdefault(arguments[0], []).append((name, arguments[1]))
            elif len(arguments) == 2 and isinstance(arguments[0], Literal):
                name = _SWAPPED.get(name, name)
                self._tests.setdefault(arguments[1], []).append((name, arguments[0]))

    def of(self, arguments: Sequence[Argument | None], iri: str, place: int) -> str:
        """Of one individual, as N-Triples."""
        value = arguments[1]
        if isinstance(value, Literal):
            return str(value)
        range_ = self._ranges.get(iri, _XSD + "string")
        kind = value_kind(range_)
        number = self._numbers.get(value, 0)
        if kind == "number":
            # Those of one place differ a little, so that "earlier" has a meaning for each pair.
            first = str(number if value in self._joined else place * _STEP + number)
            more = [str(int(float(c.value)) + d) for c in self._given("number") for d in (0, 1, -1)]
        elif kind == "boolean":
            first, more = "true", ["false"]
        else:
            first = f"trial {number}"
            more = [c.value for c in self._given("string")]
        chosen = next((t for t in (first, *more) if self._passes(value, t, range_)), first)
        return str(Literal(chosen, datatype=NamedNode(range_)))

    def _given(self, kind: str) -> list[Literal]:
        return [c for c in self._constants if value_kind(c.datatype.value) == kind]

    def _passes(self, value: Argument | None, text: str, range_: str) -> bool:
        try:
            mine = literal(text, range_)
            return all(
                name not in TESTS or TESTS[name](mine, literal(other.value, other.datatype.value))
                for name, other in self._tests.get(value, ())
            )
        except (ValueError, RuntimeError, OverflowError):
            return False
