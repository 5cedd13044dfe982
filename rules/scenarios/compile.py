"""From attack models to correlations: which step makes which other step possible, or impossible.

A postcondition that unifies with a precondition is a correlation; through ontological rules it is
an indirect one (Cuppens and Miège 2002). A postcondition that contradicts a precondition is an
anti-correlation: it is applied outside Pellet, since SWRL can't take anything back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from rules.scenarios.attack_models import Condition, Model, ModelError, Models, Term

JOINABLE = ("attacker", "host")
"""Types of terms that an alert can name."""
MAX_COMBINATIONS = 64


@dataclass(frozen=True, slots=True)
class Link:
    """``earlier`` brings about what ``later`` needs."""

    earlier: Model
    later: Model
    condition: Condition
    """The precondition of ``later``."""
    through: tuple[str, ...]
    """Names of the ontological rules in between; () is a direct correlation."""
    equal: tuple[tuple[Term, Term], ...]
    """Unifier: terms of ``earlier`` and of ``later`` that stand for the same thing."""

    @property
    def joins(self) -> tuple[tuple[str, str], ...]:
        """(end of the earlier alert, end of the later one) that must name the same host."""
        return tuple(
            (a.bound_to, b.bound_to)
            for a, b in self.equal
            if a.type in JOINABLE and a.bound_to and b.bound_to
        )


@dataclass(frozen=True, slots=True)
class AntiLink:
    """``measure`` makes a condition of ``step`` untrue."""

    measure: Model
    step: Model
    condition: Condition
    """The precondition of ``step`` that no longer holds."""
    equal: tuple[tuple[Term, Term], ...]


@dataclass(frozen=True, slots=True)
class StepRule:
    """One SWRL rule to be: alerts of these earlier models, then one of ``later``."""

    links: tuple[Link, ...]
    """One, or one for every precondition of a model that needs all of them."""

    @property
    def later(self) -> Model:
        """The model that the last alert evidences."""
        return self.links[0].later

    @property
    def label(self) -> str:
        """``SadmindProbeThenSadmindOverflow``: ``rdfs:label`` of the rule."""
        names = sorted({link.earlier.name for link in self.links})
        return f"{'And'.join(map(upper_camel, names))}Then{upper_camel(self.later.name)}"

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Scenarios that all of its models play in."""
        models = [self.later, *(link.earlier for link in self.links)]
        named = [set(model.scenarios) for model in models if model.scenarios]
        return tuple(sorted(set.intersection(*named))) if named else ()


@dataclass(frozen=True, slots=True)
class ObjectiveRule:
    """One SWRL rule to be: the step of ``step`` leads to an objective."""

    step: StepRule
    link: Link
    """From the step's later model to the objective."""

    @property
    def label(self) -> str:
        """``rdfs:label`` of the rule."""
        return f"{self.step.label}Towards{upper_camel(self.link.later.name)}"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the models say about each other; every tuple in a fixed order."""

    models: Models
    links: tuple[Link, ...]
    """Also those that no pair of alerts can show, for want of a host named in both."""
    anti_links: tuple[AntiLink, ...]
    steps: tuple[StepRule, ...]
    objectives: tuple[ObjectiveRule, ...]

    def scenarios_of(self, name: str) -> tuple[str, ...]:
        """Scenarios of the model of that name; () if there is none."""
        return next((m.scenarios for m in self.models.models if m.name == name), ())


def upper_camel(name: str) -> str:
    """``syn-flood`` to ``SynFlood``."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("_", "-").split("-"))


def compile_models(models: Models) -> Compiled:
    """Unify all postconditions with all preconditions.

    Raises: ModelError (a ValueError), one line per slip: rules that run in a circle, a step that
    nothing can lead to.
    """
    rules = models.of_kind("rule")
    slips = [f"rule {name!r} leads back to itself" for name in _circular(rules)]
    if slips:
        raise ModelError("\n".join(slips))
    actions = models.of_kind("action")
    links = tuple(
        link
        for earlier in actions
        for later in models.of_kind("action", "objective", "countermeasure")
        if earlier.shares_scenario(later)
        for link in _links(earlier, later, rules)
    )
    for model in models.of_kind("action", "objective", "countermeasure"):
        given = {link.condition for link in links if link.later is model}
        for condition in model.needed:
            if condition not in given:
                slips.append(
                    f"model {model.name!r} can never be reached: no action of its scenarios gives "
                    f"{condition}"
                )
    steps = tuple(_step_rules(actions, links, slips))
    if slips:
        raise ModelError("\n".join(slips))
    return Compiled(
        models=models,
        links=links,
        anti_links=tuple(_anti_links(models)),
        steps=steps,
        objectives=tuple(
            ObjectiveRule(step, link)
            for step in steps
            for link in links
            if link.earlier is step.later
            and link.later.kind == "objective"
            # An objective of one scenario says nothing about another one's steps.
            and not set(step.scenarios).isdisjoint(link.later.scenarios or step.scenarios)
        ),
    )


def unify(given: Condition, needed: Condition) -> tuple[tuple[Term, Term], ...] | None:
    """Terms that must be equal for ``given`` to imply ``needed``; None if it can't.

    What is known is taken to hold as well (nobody knows what isn't so); what holds need not be
    known. Variables of the two sides are apart, whatever their names.
    """
    if given.predicate.name != needed.predicate.name or given.negated != needed.negated:
        return None
    if needed.known_by is not None and given.known_by is None:
        return None
    pairs = list(zip(given.terms, needed.terms, strict=True))
    if needed.known_by is not None and given.known_by is not None:
        pairs.append((given.known_by, needed.known_by))
    # Which value each variable has, if any: two constants in one class don't unify.
    classes: list[set[tuple[str, Term]]] = []
    for a, b in pairs:
        if a.type != b.type:
            return None
        joined = {("given", a), ("needed", b)}
        for known in [c for c in classes if _touches(c, joined)]:
            joined |= known
            classes.remove(known)
        classes.append(joined)
    for joined in classes:
        if len({term.name for _, term in joined if term.constant}) > 1:
            return None
    return tuple(dict.fromkeys(pairs))


def _touches(a: set[tuple[str, Term]], b: set[tuple[str, Term]]) -> bool:
    # The same constant on both sides does not tie two variables together.
    return any(item in b for item in a if not item[1].constant)


def _links(earlier: Model, later: Model, rules: Iterable[Model]) -> Iterator[Link]:
    for needed in later.needed:
        best: Link | None = None
        for given, through in _effects(earlier, tuple(rules)):
            equal = unify(given, needed)
            # The shortest explanation; direct if there is one.
            if equal is not None and (best is None or len(through) < len(best.through)):
                best = Link(earlier, later, needed, through, equal)
        if best is not None:
            yield best


def _effects(model: Model, rules: tuple[Model, ...]) -> Iterator[tuple[Condition, tuple[str, ...]]]:
    """Postconditions, and what follows from them, in terms of the model."""
    waiting: list[tuple[Condition, tuple[str, ...]]] = [(c, ()) for c in model.post]
    while waiting:
        condition, through = waiting.pop(0)
        yield condition, through
        for rule in rules:
            if rule.name in through or not rule.shares_scenario(model):
                continue
            equal = unify(condition, rule.pre[0])
            if equal is None:
                continue
            values = {inner: outer for outer, inner in equal}
            for post in rule.post:
                terms = tuple(values.get(term, term) for term in post.terms)
                knower = post.known_by
                said = Condition(
                    post.predicate,
                    terms,
                    negated=post.negated,
                    known_by=None if knower is None else values.get(knower, knower),
                )
                waiting.append((said, (*through, rule.name)))


def _circular(rules: Iterable[Model]) -> Iterator[str]:
    """Names of ontological rules that lead back to themselves."""
    rules = tuple(rules)
    follows = {
        rule.name: {
            other.name
            for other in rules
            for post in rule.post
            if unify(post, other.pre[0]) is not None
        }
        for rule in rules
    }
    for name in sorted(follows):
        seen: set[str] = set()
        waiting = set(follows[name])
        while waiting:
            one = waiting.pop()
            seen.add(one)
            waiting |= follows[one] - seen
        if name in seen:
            yield name


def _step_rules(
    actions: Iterable[Model], links: Iterable[Link], slips: list[str]
) -> Iterator[StepRule]:
    links = [link for link in links if link.later.kind == "action" and link.joins]
    for later in actions:
        into = [link for link in links if link.later is later]
        if not later.needs_all:
            pairs: dict[str, Link] = {}
            for link in into:
                # Of two conditions that one pair of models links, the direct one explains more.
                known = pairs.get(link.earlier.name)
                if known is None or len(link.through) < len(known.through):
                    pairs[link.earlier.name] = link
            yield from (StepRule((pairs[name],)) for name in sorted(pairs))
            continue
        ways = [[link for link in into if link.condition == c] for c in later.needed]
        if not all(ways):
            slips.append(
                f"model {later.name!r} needs all its preconditions, but alerts can't show all of "
                "them: no host is named by both alerts"
            )
            continue
        combinations = 1
        for way in ways:
            combinations *= len(way)
        if combinations > MAX_COMBINATIONS:
            slips.append(
                f"model {later.name!r}: {combinations} combinations of earlier steps, at most "
                f"{MAX_COMBINATIONS} are taken"
            )
            continue
        yield from (StepRule(tuple(way)) for way in product(*ways))


def _anti_links(models: Models) -> Iterator[AntiLink]:
    for measure in models.of_kind("countermeasure", "action"):
        for step in models.of_kind("action", "objective"):
            if step is measure or not measure.shares_scenario(step):
                continue
            for effect in measure.post:
                for condition in step.pre:
                    if effect.negated == condition.negated:
                        continue
                    denied = Condition(
                        effect.predicate, effect.terms, condition.negated, effect.known_by
                    )
                    equal = unify(denied, condition)
                    if equal is not None:
                        yield AntiLink(measure, step, condition, equal)


def anti_table(compiled: Compiled) -> str:
    """The anti-correlations as tab-separated text, for people and for the agent."""
    lines = [
        "# Written by `ontoidps rules compile` from rules/attacks.owl. Do not edit.",
        "# What a measure makes untrue, and the step that needs it: once the measure is taken, the "
        "step is no longer expected.",
        "measure\td3fend\tstep\tcondition\tscenarios",
    ]
    for link in compiled.anti_links:
        shared = set(link.step.scenarios) & set(link.measure.scenarios or link.step.scenarios)
        row = (
            link.measure.name,
            " ".join(link.measure.d3fend),
            link.step.name,
            str(link.condition),
            " ".join(sorted(shared)),
        )
        lines.append("\t".join(row))
    return "\n".join(lines) + "\n"
