"""Attack models as text: there and back without loss, and slips with line and word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ontology.taxonomy import ATTACK_CLASSES
from rules.scenarios.attack_models import (
    Condition,
    Model,
    ModelError,
    Models,
    Predicate,
    Term,
    read_models,
)
from rules.scenarios.model_text import models_text, parse_model_text
from rules.shipped_files import models_path

DECLARED = """scenario lldos "LLDOS"
predicate reach(attacker, host)
predicate runs(host, service)
"""
PROBE = """action probe(A = source, H = target)
  scenario: lldos
  pre: reach(A, H)
  post: knows(A, runs(H, 'sadmind'))
  evidence: Scan, RpcProbe
"""


def test_the_shipped_models_come_back_as_they_were() -> None:
    shipped = read_models(models_path())
    text = models_text(shipped)
    again, _ = parse_model_text(text, "x")
    assert again == shipped
    assert models_text(again) == text


# Names of XML text: what a file can hold, without blanks at the ends.
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co")),
    min_size=1,
    max_size=8,
).filter(lambda name: name == name.strip() and " " not in name and name.split() == [name])
COMMENTS = st.one_of(st.just(""), NAMES, st.just('two\r\nlines, "quoted" \\ <b>'))


@st.composite
def all_models(draw: st.DrawFn) -> Models:
    types = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    predicates = [
        Predicate(
            name,
            tuple(draw(st.lists(st.sampled_from(types), min_size=1, max_size=3))),
            draw(st.booleans()),
            draw(COMMENTS),
        )
        for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    ]
    scenarios = {
        name: (draw(COMMENTS), draw(COMMENTS))
        for name in sorted(draw(st.lists(NAMES, max_size=2, unique=True)))
    }

    def condition(variables: dict[str, Term]) -> Condition:
        def term(type_: str) -> Term:
            name = draw(NAMES)
            if draw(st.booleans()):
                return Term(name, type_, constant=True)
            binding = draw(st.sampled_from(("", "source", "target")))
            return variables.setdefault(type_, Term(name + type_, type_, binding))

        predicate = draw(st.sampled_from(predicates))
        terms = tuple(term(type_) for type_ in predicate.types)
        knower = term(draw(st.sampled_from(types))) if draw(st.booleans()) else None
        return Condition(predicate, terms, draw(st.booleans()), knower)

    models = []
    for name in sorted(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))):
        kind = draw(st.sampled_from(("action", "objective", "countermeasure")))
        variables: dict[str, Term] = {}
        pre, post = (
            tuple(condition(variables) for _ in range(draw(st.integers(1, 12)))) for _ in range(2)
        )
        classes = st.lists(st.sampled_from(sorted(ATTACK_CLASSES)), min_size=1, unique=True)
        models.append(
            Model(
                name=name,
                kind=kind,
                comment=draw(COMMENTS),
                pre=pre,
                post=() if kind == "objective" else post,
                evidence=tuple(sorted(draw(classes))) if kind == "action" else (),
                scenarios=tuple(n for n in scenarios if draw(st.booleans())),
                d3fend=tuple(sorted(draw(st.lists(NAMES, max_size=2, unique=True)))),
                needs_all=draw(st.booleans()),
            )
        )
    return Models(tuple(models), scenarios, tuple(sorted(predicates, key=lambda p: p.name)))


def models_of(name: str) -> Models:
    """One objective, with this for every name in it."""
    predicate = Predicate(name, (name,), comment=name)
    condition = Condition(predicate, (Term(name, name, constant=True),))
    model = Model(name, "objective", name, (condition,), (), (), (name,))
    return Models((model,), {name: (name, name)}, (predicate,))


@settings(max_examples=40)
@given(all_models())
@example(models_of("--"))
@example(models_of("a--->-"))
@example(models_of("]]>&amp;"))
@example(models_of(":"))
@example(models_of(","))
@example(models_of(")"))
@example(models_of("="))
@example(models_of("objective"))
@example(models_of("capability"))
def test_any_models_come_back_as_they_were(models: Models) -> None:
    try:
        text = models_text(models)
    except ModelError:
        return  # one name for two variables: refused by name
    again, _ = parse_model_text(text, "x")
    assert again == models


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("reach(A, H)\n", "reech(A, H)\n", "x:6: 'reech': no predicate is called so"),
        ("reach(A, H)\n", "reach(A)\n", "x:6: 'reach' takes 2 arguments (attacker host), has 1"),
        ("reach(A, H)\n", "reach(A, B)\n", "x:6: 'B': no variable of the model"),
        ("reach(A, H)\n", "reach(A H)\n", "x:6: 'H': expected ')'"),
        ("reach(A, H)\n", "reach(A, H) ?\n", "x:6: '?': no word"),
        ("lldos\n  pre", "mitnick\n  pre", "x:5: 'mitnick': no scenario is called so"),
        ("post:", "past:", "x:7: 'past': expected scenario, evidence"),
        ("A = source", "A = sauce", "x:4: 'sauce': expected source or target"),
        ("'sadmind'", "'\\u0007'", r"x:7: '\u0007': no OWL file can hold U+0007"),
        ("'sadmind'", "'\\ud800'", r"x:7: '\ud800': no OWL file can hold U+D800"),
        ("RpcProbe", "RpcProb", "x:8: model 'probe': evidencedBy 'RpcProb' is no class under"),
        (
            "  post: knows(A, runs(H, 'sadmind'))\n",
            "",
            "x:4: model 'probe' has no hasPostcondition",
        ),
        (
            "action probe(A = source, H = target)\n  scenario: lldos\n  pre: reach(A, H)\n",
            "objective probe(A = source, H = target)\n  state: reach(A, H)\n",
            "an objective is a state, it has no hasPostcondition",
        ),
        ("action", "acton", "x:4: 'acton': expected a new statement, which begins a line"),
    ],
)
def test_a_slip_is_told_with_line_and_word(old: str, new: str, said: str) -> None:
    text = DECLARED + PROBE
    assert old in text
    with pytest.raises(ModelError) as slip:
        parse_model_text(text.replace(old, new, 1), "x")
    assert said in str(slip.value)


def test_every_broken_statement_is_told_at_once() -> None:
    text = (
        DECLARED + PROBE.replace("RpcProbe", "(") + PROBE.replace("probe", "p2").replace("H)", "B)")
    )
    with pytest.raises(ModelError) as slips:
        parse_model_text(text, "x")
    assert [line.split(": ")[0] for line in str(slips.value).splitlines()] == ["x:8", "x:11"]
