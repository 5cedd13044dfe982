"""One rule, compiled to nested loops over the tables of a `Closure`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ontology.chainer.builtins import FUNCTIONS, TESTS
from ontology.chainer.closure import Closure, Firing
from ontology.chainer.rulebook import Atom, Rule, Term, Variable

Step = Callable[[list[Term | None]], bool]
"""Fills slots, and says whether the rest of the body could be matched."""


class Program:
    """A rule that is ready to run; ``needs`` names the classes and properties it reads.

    Args:
        functional: properties with one value; looking that up never multiplies the matches.
    """

    def __init__(self, rule: Rule, functional: Collection[str] = ()) -> None:
        self._rule = rule
        self._functional = functional
        self._slots: dict[Variable, int] = {}
        self._objects: set[int] = set()
        """Slots that hold individuals."""
        self.needs = frozenset(a.name for a in rule.body if a.kind != "builtin")
        self._order = self._plan()
        self._heads = tuple(
            (atom.name, [self._place(argument) for argument in atom.arguments])
            for atom in rule.head
        )

    def matches(self, closure: Closure) -> list[Firing]:
        """Everything that the rule concludes, each with its first match."""
        found: list[Firing] = []
        objects = tuple(self._objects)

        def emit(slots: list[Term | None]) -> bool:
            heads = tuple(
                (name, *(_get(slots, place) for place in places)) for name, places in self._heads
            )
            bound = tuple({o: None for i in objects if isinstance(o := slots[i], str)})
            if heads not in done:
                done.add(heads)
                edges = tuple(
                    (name, _get(slots, one), other)
                    for name, one, place in links
                    if isinstance(other := _get(slots, place), str)
                )
                found.append(Firing(self._rule.label, bound, heads, edges))
            return True

        links = [
            (atom.name, self._place(atom.arguments[0]), self._place(atom.arguments[1]))
            for atom in self._rule.body
            if atom.kind == "property"
        ]

        done: set[tuple[tuple[Term, ...], ...]] = set()
        step: Step = emit
        for atom, fresh, enough in reversed(self._order):
            step = self._step(atom, fresh, closure, step, enough=enough)
        step([None] * len(self._slots))
        return found

    def _place(self, argument: Variable | Term) -> int | tuple[Term]:
        """Slot of a variable, or a constant in a tuple of its own."""
        if isinstance(argument, Variable):
            return self._slots[argument]
        return (argument,)

    def _plan(self) -> list[tuple[Atom, frozenset[int], bool]]:
        """Order of the atoms, which slots each one fills, and whether one match of the rest is
        enough, because everything in the head was known before."""
        left, known = list(self._rule.body), set[Variable]()
        concluded = {a for atom in self._rule.head for a in atom.arguments}
        order = []
        while left:
            best = min(left, key=lambda atom: self._rank(atom, known, concluded))
            left.remove(best)
            enough = all(v in known for v in concluded if isinstance(v, Variable))
            fresh = []
            for number, argument in enumerate(best.arguments):
                if isinstance(argument, Variable) and argument not in known:
                    known.add(argument)
                    slot = self._slots[argument] = len(self._slots)
                    fresh.append(slot)
                    if best.kind == "class" or (best.kind == "property" and number == 0):
                        self._objects.add(slot)
            for argument in best.arguments[: 1 if best.kind == "class" else 2]:
                if best.kind == "property" and isinstance(argument, Variable):
                    self._objects.add(self._slots[argument])
            order.append((best, frozenset(fresh), enough))
        return order

    def _rank(
        self, atom: Atom, known: set[Variable], concluded: set[Variable | Term]
    ) -> tuple[int, int]:
        free = [a for a in atom.arguments if isinstance(a, Variable) and a not in known]
        if atom.kind == "builtin":
            # Whatever it needs must be there; only its first argument can be a result.
            ready = not free or (free == [atom.arguments[0]] and atom.name in FUNCTIONS)
            return (0, 0) if ready else (9, 0)
        if not free:
            return (1, 0)
        if atom.name in self._functional and free == [atom.arguments[1]]:
            # So that times are compared before the hosts of two sweeps are paired.
            return (1, 1)
        late = int(not concluded.intersection(free))
        if len(free) < len(atom.arguments):
            return (2, late)
        return (3 if atom.kind == "class" else 4, late)

    def _step(
        self, atom: Atom, fresh: frozenset[int], closure: Closure, then: Step, *, enough: bool
    ) -> Step:
        places = [self._place(argument) for argument in atom.arguments]
        if atom.kind == "builtin":
            return _builtin(atom.name, places, fresh, then)
        if atom.kind == "class":
            return _members(closure, atom.name, places[0], fresh, then, enough=enough)
        return _edges(closure, atom.name, places, fresh, then, enough=enough)


def _get(slots: list[Term | None], place: int | tuple[Term]) -> Term:
    value = slots[place] if isinstance(place, int) else place[0]
    assert value is not None  # noqa: S101
    return value


def _members(
    closure: Closure,
    name: str,
    place: int | tuple[Term],
    fresh: frozenset[int],
    then: Step,
    *,
    enough: bool,
) -> Step:
    members = closure.members.get(name, {})
    if not isinstance(place, int):
        return then if place[0] in members else _never

    def enumerate_all(slots: list[Term | None]) -> bool:
        closure.spend(len(members))
        return _each(slots, place, members, then, enough=enough)

    def check(slots: list[Term | None]) -> bool:
        return slots[place] in members and then(slots)

    return enumerate_all if fresh else check


def _never(_: list[Term | None]) -> bool:
    return False


def _each(
    slots: list[Term | None], place: int, values: Iterable[Term], then: Step, *, enough: bool
) -> bool:
    matched = False
    for value in values:
        slots[place] = value
        if then(slots):
            matched = True
            if enough:
                break
    return matched


def _edges(
    closure: Closure,
    name: str,
    places: list[int | tuple[Term]],
    fresh: frozenset[int],
    then: Step,
    *,
    enough: bool,
) -> Step:
    first, second = places
    out, back = closure.out.get(name, {}), closure.back.get(name, {})

    def both(slots: list[Term | None]) -> bool:
        return _get(slots, second) in out.get(_get(slots, first), ()) and then(slots)

    def forward(slots: list[Term | None]) -> bool:
        assert isinstance(second, int)  # noqa: S101
        values = out.get(_get(slots, first))
        if not values:
            return False
        closure.spend(len(values))
        if len(values) == 1:
            # Most properties of an alert have one value.
            (slots[second],) = values
            return then(slots)
        return _each(slots, second, values, then, enough=enough)

    def backward(slots: list[Term | None]) -> bool:
        assert isinstance(first, int)  # noqa: S101
        subjects = back.get(_get(slots, second), {})
        closure.spend(len(subjects))
        return _each(slots, first, subjects, then, enough=enough)

    def everything(slots: list[Term | None]) -> bool:
        assert isinstance(first, int) and isinstance(second, int)  # noqa: S101
        matched = False
        for subject, values in out.items():
            closure.spend(len(values))
            slots[first] = subject
            # p(?a, ?a): only what is related to itself.
            wanted = [v for v in (subject,) if v in values] if first == second else values
            matched |= _each(slots, second, wanted, then, enough=enough)
            if matched and enough:
                break
        return matched

    if not fresh:
        return both
    if first in fresh and second in fresh:
        return everything
    return backward if first in fresh else forward


def _builtin(name: str, places: list[int | tuple[Term]], fresh: frozenset[int], then: Step) -> Step:
    test = TESTS.get(name)

    def compare(slots: list[Term | None]) -> bool:
        a, b = _get(slots, places[0]), _get(slots, places[1])
        assert test is not None  # noqa: S101
        return type(a) is tuple and type(b) is tuple and test(a, b) and then(slots)

    def compute(slots: list[Term | None]) -> bool:
        values = [_get(slots, place) for place in places[1:]]
        literals = [value for value in values if not isinstance(value, str)]
        result = FUNCTIONS[name][2](*literals) if len(literals) == len(values) else None
        if result is None:
            return False
        if fresh:
            assert isinstance(places[0], int)  # noqa: S101
            slots[places[0]] = result
            return then(slots)
        return _get(slots, places[0]) == result and then(slots)

    return compare if test is not None else compute
