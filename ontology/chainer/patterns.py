"""Rules unfolded: in which ways alerts meet to draw a conclusion.

What another rule concludes is replaced by that rule's body, until only what a window asserts of
alerts is left (class, hosts, times). Comparisons of times give the order; other built-ins are taken
to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import count, product

from ontology.chainer.rulebook import (
    RDF,
    Atom,
    Rule,
    Rulebook,
    RulebookError,
    Term,
    Variable,
)
from ontology.chainer.states import OF_STATES, SOURCE, TARGET, States
from ontology.vocabulary import IDPS
from ontology.window_terms import (
    CONCERNS,
    COUNTED,
    ELSEWHERE,
    GROWING,
    HELD,
    MINIMUM_RISK,
    OF_ALERTS_OWN,
    PAPER_TERMS,
    RATED,
)

MAX_DEPTH = 4
"""Rules whose conclusions lead to each other; a fifth is refused, and so is a rule that feeds
itself: how far away an alert may be is then not known beforehand."""
MAX_PATTERNS = 1000
"""Ways to unfold one rule."""
_ROLES = {
    IDPS.hasSource: SOURCE,
    IDPS.involvesSource: SOURCE,
    IDPS.hasTarget: TARGET,
    IDPS.involvesTarget: TARGET,
}
"""The object properties that a window asserts: of an alert, to a host."""
_BOTH = frozenset((SOURCE, TARGET))
_OF_HOSTS = frozenset(str(term) for term, (of, _) in HELD.items() if of == "Host")
_NO_LATER = {"lessThan": (0, 1), "lessThanOrEqual": (0, 1)} | {
    "greaterThan": (1, 0),
    "greaterThanOrEqual": (1, 0),
}

Link = tuple[str, str]
"""Role of a host in one alert and in another."""


_Goals = tuple[Atom, ...]
"""What an atom is needed for."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Alerts that meet in one way to draw one conclusion."""

    kinds: tuple[frozenset[int], ...]
    links: dict[tuple[int, int], frozenset[Link]]
    """In both directions."""
    free: tuple[frozenset[str], ...]
    """Of each, the roles in which the rule speaks of a host that no other of them names."""
    whole: tuple[frozenset[str], ...]
    """Of each, the roles in which every host can matter: the rule says something of it, or asks
    more of it than classes and that it is another one."""
    before: frozenset[tuple[int, int]]
    """(a, b): a begins no later than b."""


class Patterns:
    """Of one rulebook.

    Raises: RulebookError if a rule speaks of what isn't worked out here; the message names it.
    """

    def __init__(self, book: Rulebook) -> None:
        self._book = book
        for _, predicate, value in book.facts:
            if predicate != RDF + "type" and isinstance(value, str):
                raise RulebookError(f"the ontology itself asserts {predicate}")
        self._fresh = count()
        self._roles: dict[str, set[tuple[str, bool]]] = {}
        """Property → (role, turned round) that it holds for."""
        for term, role in _ROLES.items():
            for above, turned in self._follows(term):
                self._roles.setdefault(above, set()).add((role, turned))
        atoms = [atom for rule in book.rules for atom in rule.body]
        self.reads_growth = any(atom.name in GROWING for atom in atoms)
        self.rates_all = False
        """Does a rule read ratings of alerts whatever their risk (`RATED`)? Known once all
        patterns were asked for."""
        given = {
            *map(str, HELD),
            *PAPER_TERMS - ELSEWHERE,
            *(predicate for _, predicate, _ in book.facts),
        }
        self._given = {name for term in given for name, _ in self._follows(term)}
        """What a window may assert, though a rule concludes it as well."""
        self._heads: dict[str, list[tuple[Rule, tuple[Variable, ...]]]] = {}
        """Class or property → rules that conclude it, with the arguments they conclude it of."""
        for rule in book.rules:
            for head in rule.head:
                self._conclude(rule, head)
        read = {atom.name for atom in atoms if atom.kind == "class"}
        self.host_classes = frozenset(filter(self._of_host, read))
        always = self._always()
        signatures = {
            name: (book.classes_above.get(name, frozenset((name,))) | always) & read
            for name in {*book.classes_above, *read, ""}
        }
        numbers = {
            classes: n for n, classes in enumerate(sorted(set(signatures.values()), key=sorted))
        }
        self._kinds: dict[int, frozenset[str]] = {
            number: classes for classes, number in numbers.items()
        }
        self.signatures = {name: numbers[classes] for name, classes in signatures.items()}
        """Class → kind; ``""`` stands for one that the ontology does not have."""

    def __iter__(self) -> Iterator[Pattern]:
        for rule in self._book.rules:
            yield from self._patterns(rule)

    def _follows(self, name: str) -> set[tuple[str, bool]]:
        """Properties that hold when this one does, and whether the other way round."""
        found, todo = set[tuple[str, bool]](), [(name, False)]
        while todo:
            one, turned = todo.pop()
            for above in self._book.properties_above.get(one, (one,)):
                if (above, turned) not in found:
                    found.add((above, turned))
                    todo += [(i, not turned) for i in self._book.inverses.get(above, ())]
        return found

    def _conclude(self, rule: Rule, head: Atom) -> None:
        data = head.name in self._book.data_properties
        # Which value comes out is left open.
        arguments = head.arguments[:1] if data else head.arguments
        variables = tuple(a for a in arguments if isinstance(a, Variable))
        if head.kind == "class":
            names = {
                (name, False) for name in self._book.classes_above.get(head.name, (head.name,))
            }
        else:
            names = self._follows(head.name)
        if len(set(variables)) < len(arguments) or (
            not data and any(name in self._book.functional for name, _ in names)
        ):
            raise RulebookError(f"the head of rule {rule.label!r} may make two individuals one")
        for name, turned in names:
            self._heads.setdefault(name, []).append(
                (rule, variables[::-1] if turned else variables)
            )

    def _always(self) -> frozenset[str]:
        """Classes that any alert may belong to, whatever its own class is."""
        book = self._book
        found = set(book.classes_above.get(IDPS.Alert, (IDPS.Alert,)))
        for declared in (term for term, (of, _) in HELD.items() if of == "Alert"):
            found |= book.domains.get(declared, frozenset())
        for rule in book.rules:
            for head in rule.head:
                if head.kind == "property":
                    for name, _ in self._follows(head.name):
                        found |= book.domains.get(name, frozenset())
                        found |= book.ranges.get(name, frozenset())
        return frozenset(found)

    def _patterns(self, rule: Rule) -> Iterator[Pattern]:
        for number, atoms in enumerate(self._unfold(rule)):
            if number == MAX_PATTERNS:
                raise RulebookError(f"rule {rule.label!r} can be met in too many ways")
            yield from self._pattern(rule, atoms)

    def _unfold(self, rule: Rule) -> Iterator[tuple[Atom, ...]]:
        """Every list of atoms that a window itself may satisfy and that makes the rule fire."""
        todo: list[tuple[tuple[Atom, ...], tuple[tuple[Atom, _Goals], ...]]]
        todo = [((), tuple((atom, ()) for atom in rule.body))]
        while todo:
            done, left = todo.pop()
            if not left:
                yield done
                continue
            (atom, goals), *rest = left
            if atom.kind == "builtin" or self._asserted(atom):
                todo.append(((*done, atom), tuple(rest)))
            # What is needed for itself can be left out of the derivation.
            if atom.kind == "builtin" or atom in goals:
                continue
            for other, variables in self._heads.get(atom.name, ()):
                if len(goals) == MAX_DEPTH:
                    raise RulebookError(f"rule {other.label!r} follows on itself, or too many do")
                # Of a data property only the subject.
                body = self._renamed(other, dict(zip(variables, atom.arguments, strict=False)))
                todo.append((done, (*((a, (*goals, atom)) for a in body), *rest)))

    def _asserted(self, atom: Atom) -> bool:
        """Can a window hold this by itself?"""
        if atom.kind == "class":
            return True
        if atom.name in self._book.data_properties:
            known = atom.name not in self._heads and atom.name not in ELSEWHERE
            return known or atom.name in self._given
        if atom.name in self._roles or atom.name in OF_ALERTS_OWN or atom.name in OF_STATES:
            return True
        if atom.name not in self._heads:
            raise RulebookError(f"no window is known to hold {atom.name}")
        return False

    def _renamed(self, rule: Rule, given: dict[Variable, Variable | Term]) -> list[Atom]:
        """The body, with these arguments for what the head names and new names for the rest."""
        number = next(self._fresh)

        def put(argument: Variable | Term) -> Variable | Term:
            if not isinstance(argument, Variable):
                return argument
            return given.get(argument, Variable(f"{argument.name} {number}"))

        return [Atom(a.kind, a.name, tuple(map(put, a.arguments))) for a in rule.body]

    def _by_rating(self, rule: Rule, atoms: Iterable[Atom]) -> bool:
        """Does it take one alert whose risk reaches the least one, or conclude a mere value?

        Whose risk that is, is worked out without rules; which alerts meet makes no difference.
        """
        names = {atom.name for atom in atoms}
        if RATED.isdisjoint(names):
            return False
        alerts = {
            atom.arguments[1 if turned else 0]
            for atom in atoms
            for _, turned in self._roles.get(atom.name, ())
        }
        values = all(head.name in self._book.data_properties for head in rule.head)
        if len(alerts) <= 1 and (values or MINIMUM_RISK in names):
            return True
        self.rates_all = True
        return False

    def _pattern(self, rule: Rule, atoms: tuple[Atom, ...]) -> Iterator[Pattern]:
        """What the atoms say of alerts; none if no window can hold them all."""
        if self._by_rating(rule, atoms):
            return
        states = States(rule, atoms)
        classes: dict[Variable, set[str]] = {}
        begins: dict[Variable | Term, Variable] = {}
        ties: list[list[tuple[Variable, str, Variable]]] = []
        """Per atom, the ways to read it: (alert, role, host)."""
        own = {atom.arguments[1] for atom in atoms if atom.name in OF_ALERTS_OWN}
        for atom in atoms:
            # What is said of an alert's own things asks nothing of other alerts.
            if atom.kind == "builtin" or atom.arguments[0] in own:
                continue
            if atom.name == CONCERNS or atom.arguments[0] in states:
                ties += [[tie] for tie in states.ties(atom)]
                continue
            ends = atom.arguments[: 2 if atom.name in self._roles else 1]
            if not all(isinstance(end, Variable) for end in ends):
                raise RulebookError(f"rule {rule.label!r} names an individual")
            one, *other = (end for end in ends if isinstance(end, Variable))
            said = classes.setdefault(one, set())
            if atom.kind == "class":
                said.add(atom.name)
            elif other:
                ties.append(
                    [
                        (other[0], role, one) if turned else (one, role, other[0])
                        for role, turned in sorted(self._roles[atom.name])
                    ]
                )
            elif atom.name == IDPS.beginUs:
                begins[atom.arguments[1]] = one
        before = {
            (begins[a], begins[b])
            for atom in atoms
            if atom.kind == "builtin" and atom.name in _NO_LATER
            for a, b in [[atom.arguments[i] for i in _NO_LATER[atom.name]]]
            if a in begins and b in begins
        }
        asked = self._asked(rule, atoms)
        for chosen in product(*ties):
            pattern = self._read(classes, chosen, before, asked, states.hosts)
            if pattern is not None:
                yield pattern

    def _asked(self, rule: Rule, atoms: Iterable[Atom]) -> set[Variable | Term]:
        """Hosts of which the rule says something, or asks more than classes and that two differ."""
        asked = {argument for head in rule.head for argument in head.arguments}
        values = {
            argument
            for atom in atoms
            if atom.kind == "builtin" and atom.name != "notEqual"
            for argument in atom.arguments
        }
        for atom in atoms:
            if atom.name == IDPS.ipAddress:
                asked |= {atom.arguments[0]} if atom.arguments[1] in values else set()
            elif atom.name in self._book.data_properties and atom.name not in COUNTED:
                asked.add(atom.arguments[0])
        return asked & {
            atom.arguments[place] for atom in atoms for place in self._host_places(atom)
        }

    def _host_places(self, atom: Atom) -> set[int]:
        """Which of its arguments are hosts."""
        if atom.kind == "class":
            return {0} if self._of_host(atom.name) else set()
        if atom.name in _OF_HOSTS:
            return {0}
        return {0 if turned else 1 for _, turned in self._roles.get(atom.name, ())}

    def _read(
        self,
        classes: dict[Variable, set[str]],
        ties: tuple[tuple[Variable, str, Variable], ...],
        before: set[tuple[Variable, Variable]],
        asked: set[Variable | Term],
        paired: Set[Variable],
    ) -> Pattern | None:
        hosts = {host for _, _, host in ties}
        alerts = list(dict.fromkeys((*(alert for alert, _, _ in ties), *classes)))
        if hosts.intersection(alert for alert, _, _ in ties):
            # A host is not the source or target of a host.
            return None
        alerts = [alert for alert in alerts if alert not in hosts]
        kinds = [self._of_classes(classes.get(alert, set())) for alert in alerts]
        if not all(kinds):
            return None
        places = {alert: number for number, alert in enumerate(alerts)}
        tied = {alert for alert, _, _ in ties}
        links: dict[tuple[int, int], set[Link]] = {}
        for a, here, host in ties:
            for b, there, same in ties:
                if a != b and host == same:
                    links.setdefault((places[a], places[b]), set()).add((here, there))
        return Pattern(
            tuple(kinds),
            {ends: frozenset(found) for ends, found in links.items()},
            tuple(
                frozenset(
                    role
                    for one, role, host in ties
                    if one == alert
                    and host not in paired
                    and all(o == alert for o, _, h in ties if h == host)
                )
                for alert in alerts
            ),
            tuple(
                frozenset(role for one, role, host in ties if one == alert and host in asked)
                if alert in tied
                # It may be a host that the rule speaks of by itself.
                else (_BOTH if alert in asked else frozenset())
                for alert in alerts
            ),
            _closed({(places[a], places[b]) for a, b in before if a in places and b in places}),
        )

    def _of_classes(self, classes: set[str]) -> frozenset[int]:
        """Kinds that belong to all of these."""
        if all(self._of_host(name) for name in classes):
            # A host that no alert of the pattern names: any alert may bring it along.
            return frozenset(self._kinds)
        return frozenset(n for n, mine in self._kinds.items() if classes <= mine)

    def _of_host(self, name: str) -> bool:
        above = self._book.classes_above
        return IDPS.Host in above.get(name, (name,)) or name in above.get(IDPS.Host, (IDPS.Host,))


def _closed(pairs: set[tuple[int, int]]) -> frozenset[tuple[int, int]]:
    """With what follows: a before b, b before c."""
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return frozenset(pairs)
