from __future__ import annotations

from pathlib import Path

import pytest

from ontology.chainer.joins import Joins
from ontology.chainer.patterns import MAX_DEPTH
from ontology.chainer.rulebook import RulebookError
from ontology.chainer.states import SOURCE, TARGET
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.window import build_window, warm_up_window
from ontology.taxonomy import ATTACK_CLASSES
from ontology.theory import Theory
from ontology.vocabulary import IDPS, NAMESPACE
from ontology.window_terms import PAPER
from rules.shipped_files import paper_rules_path, rule_paths

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
OWL = "http://www.w3.org/2002/07/owl#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
SWRL = "http://www.w3.org/2003/11/swrl#"


def variables(text: str) -> list[str]:
    return [f"urn:swrl:var#{v.strip()[1:]}" for v in text.split(",")]


def theory(*rules: str, axioms: str = "") -> bytes:
    """``Label: Scan(?a), involvesSource(?a, ?s) -> Seen(?a)``, and ``A < B`` of classes."""
    lines = [
        f"<{IDPS.hasSource}> <{RDFS}subPropertyOf> <{IDPS.involvesSource}> .",
        f"<{IDPS.hasTarget}> <{RDFS}subPropertyOf> <{IDPS.involvesTarget}> .",
        f"<{NAMESPACE}Honeypot> <{RDFS}subClassOf> <{IDPS.Host}> .",
    ]
    data = ("beginUs", "endUs", "count", "verifiedSource", "ipAddress")
    lines += [f"<{NAMESPACE}{name}> <{RDF}type> <{OWL}DatatypeProperty> ." for name in data]
    for axiom in filter(None, axioms.split(";")):
        below, above = (name.strip() for name in axiom.split("<"))
        lines.append(f"<{NAMESPACE}{below}> <{RDFS}subClassOf> <{NAMESPACE}{above}> .")
    for text in rules:
        label, _, rest = text.partition(": ")
        rule = f"urn:ontoidps:rule:{label}"
        lines.append(f"<{rule}> <{RDF}type> <{SWRL}Imp> .")
        for part, atoms in zip(("body", "head"), rest.split(" -> "), strict=True):
            lines += _atoms(f"{label}{part}", rule, part, atoms)
    return "\n".join(lines).encode()


def _atoms(name: str, rule: str, part: str, text: str) -> list[str]:
    lines, cells = [], []
    for number, atom in enumerate(text.replace("), ", ")|").split("|")):
        term, _, inner = atom.rstrip(")").partition("(")
        arguments = variables(inner)
        lines += [f"<{v}> <{RDF}type> <{SWRL}Variable> ." for v in arguments]
        node = f"_:{name}{number}"
        cells.append(node)
        if term[0].isupper():
            kind, about = "ClassAtom", f"{node} <{SWRL}classPredicate> <{NAMESPACE}{term}> ."
        elif term in ("lessThan", "notEqual", "greaterThan"):
            kind = "BuiltinAtom"
            about = f"{node} <{SWRL}builtin> <http://www.w3.org/2003/11/swrlb#{term}> ."
            lines += _list(f"{node}args", [f"<{v}>" for v in arguments])
            lines.append(f"{node} <{SWRL}arguments> {node}args0 .")
        else:
            kind = "IndividualPropertyAtom"
            about = f"{node} <{SWRL}propertyPredicate> <{NAMESPACE}{term}> ."
        lines += [f"{node} <{RDF}type> <{SWRL}{kind}> .", about]
        if kind != "BuiltinAtom":
            lines += [f"{node} <{SWRL}argument{n}> <{v}> ." for n, v in enumerate(arguments, 1)]
    lines += _list(f"_:{name}list", cells)
    return [*lines, f"<{rule}> <{SWRL}{part}> _:{name}list0 ."]


def _list(name: str, items: list[str]) -> list[str]:
    lines = []
    for number, item in enumerate(items):
        rest = f"{name}{number + 1}" if number + 1 < len(items) else f"<{RDF}nil>"
        lines += [
            f"{name}{number} <{RDF}first> {item} .",
            f"{name}{number} <{RDF}rest> {rest} .",
        ]
    return lines


SCAN_GUESS = (
    "ScanGuess: Scan(?a), involvesSource(?a, ?s), involvesSource(?b, ?s), Guess(?b), "
    "involvesTarget(?a, ?h), involvesTarget(?b, ?h), beginUs(?a, ?x), beginUs(?b, ?y), "
    "lessThan(?x, ?y) -> follows(?a, ?b)"
)
SAME = frozenset(((SOURCE, SOURCE), (TARGET, TARGET)))


def test_a_rule_says_who_can_meet_over_what_and_in_which_order() -> None:
    joins = Joins(theory(SCAN_GUESS, axioms="SynScan < Scan; SshGuess < Guess; Odd < Other"))
    scan, guess = joins.kind("SynScan"), joins.kind("SshGuess")
    assert scan == joins.kind("Scan") and scan != guess
    (((later),),) = joins.companies(scan)
    assert (later.kinds, later.links, later.order) == (frozenset((guess,)), SAME, 1)
    ((earlier,),) = joins.companies(guess)
    assert (earlier.kinds, earlier.links, earlier.order) == (frozenset((scan,)), SAME, -1)
    assert not earlier.free and joins.free(guess) == frozenset()


def test_classes_that_no_rule_can_use_are_known() -> None:
    joins = Joins(theory(SCAN_GUESS, axioms="SynScan < Scan; Odd < Other"))
    assert joins.kind("Odd") == joins.kind("NeverHeardOf") == -1
    # A rule that asks for no class can use them all.
    every = Joins(theory(SCAN_GUESS, "All: count(?a, ?n), involvesTarget(?a, ?h) -> Seen(?a)"))
    assert every.kind("Odd") >= 0 and every.kind("NeverHeardOf") >= 0


def test_a_conclusion_from_a_conclusion_takes_all_behind_it() -> None:
    chain = "Chain: follows(?a, ?b), follows(?b, ?c) -> chained(?a, ?c)"
    joins = Joins(theory(SCAN_GUESS, chain, axioms="Worm < Scan; Worm < Guess; SynScan < Scan"))
    worm, scan = joins.kind("Worm"), joins.kind("SynScan")
    chains = [company for company in joins.companies(scan) if len(company) == 2]
    (((middle, last)),) = chains
    # What follows on the scan must be scan and guess at once, so that something follows on it.
    assert middle.kinds == {worm} and middle.after == 0
    assert last.kinds == {worm, joins.kind("Guess")} and last.after == 1
    assert {s.order for s in (middle, last)} == {1}


def test_a_conclusion_needed_for_itself_is_left_out() -> None:
    rules = (
        SCAN_GUESS,
        "Bad: follows(?a, ?b) -> Bad(?b)",
        "Worse: Bad(?b), count(?b, ?n) -> Worse(?b)",
    )
    joins = Joins(theory(*rules, axioms="Worse < Bad"))
    assert joins.companies(joins.kind("Guess"))


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("Far: follows(?a, ?b), follows(?b, ?c) -> follows(?a, ?c)", "'Far' follows on itself"),
        ("Odd: knows(?a, ?b) -> Seen(?a)", "no window is known to hold .*knows"),
        ("Same: Scan(?a), involvesSource(?a, ?h) -> like(?a, ?a)", "'Same' may make two"),
    ],
)
def test_rules_that_are_not_worked_out_are_refused_by_name(rule: str, why: str) -> None:
    with pytest.raises(RulebookError, match=why):
        Joins(theory(SCAN_GUESS, rule))


def test_rules_in_a_long_row_are_refused() -> None:
    row = [f"R{n}: C{n}(?a), count(?a, ?n) -> C{n + 1}(?a)" for n in range(MAX_DEPTH + 2)]
    Joins(theory(*row[: MAX_DEPTH + 1]))
    with pytest.raises(RulebookError, match="or too many do"):
        Joins(theory(*row))


def test_which_hosts_can_matter() -> None:
    two = (
        "Two: Scan(?a), involvesSource(?a, ?s), involvesSource(?b, ?s), Scan(?b), "
        "involvesTarget(?a, ?h), Honeypot(?h), involvesTarget(?b, ?g), ipAddress(?h, ?x), "
        "ipAddress(?g, ?y), notEqual(?x, ?y) -> wide(?a, ?b)"
    )
    joins = Joins(theory(two))
    scan = joins.kind("Scan")
    assert joins.free(scan) == {TARGET} and joins.multiplied == {scan}
    assert joins.host_classes == joins.asked_of(["Honeypot"]) == {IDPS.Honeypot}
    assert not joins.whole(scan) and joins.asked_of(["Gateway"]) == frozenset()


def test_a_rule_about_hosts_takes_all_of_its_own_alerts_alone() -> None:
    two = (
        "Two: Scan(?a), involvesSource(?a, ?s), involvesSource(?b, ?s), Flood(?b), "
        "involvesTarget(?a, ?h), involvesTarget(?b, ?g), ipAddress(?h, ?x), "
        "ipAddress(?g, ?y), notEqual(?x, ?y) -> wide(?a, ?b)"
    )
    # What is said of hosts, or asked of their addresses, takes all of them.
    said = Joins(theory(two, "Hit: Scan(?a), involvesTarget(?a, ?h) -> Hit(?h)"))
    assert said.whole(said.kind("Scan")) == {TARGET} and not said.whole(said.kind("Flood"))
    order = two.replace("notEqual", "lessThan").replace("Flood(?b)", "Flood(?b), Honeypot(?s)")
    asked = Joins(theory(order))
    assert asked.whole(asked.kind("Scan")) == asked.whole(asked.kind("Flood")) == {TARGET}
    # Of a host that no alert of the rule names, the table says: of any alert.
    alone = Joins(theory(two, "Near: ipAddress(?h, ?x), ipAddress(?g, ?x) -> near(?h, ?g)"))
    assert alone.whole(alone.kind("Odd")) == {SOURCE, TARGET}


def test_the_rules_of_the_paper_join_no_more_than_they_read() -> None:
    def shipped(*more: Path) -> Joins:
        with KnowledgeBase([ontology_path(), *rule_paths(), *more]) as knowledge:
            # It reads every attack, and would leave nothing to be seen here.
            data = knowledge.ntriples(without=["AnomalyThenAttack"])
            return Joins(Theory.from_ntriples(data).ntriples)

    ours, all_ = shipped(), shipped(paper_rules_path())
    assert not all_.rates_all
    kinds = {name: (ours.kind(name), all_.kind(name)) for name in sorted(ATTACK_CLASSES)}
    unused = {name for name, (kind, _) in kinds.items() if kind < 0}
    assert "UnknownAnomaly" in unused
    assert unused == {name for name, (_, kind) in kinds.items() if kind < 0}
    whole = {name for name, (_, kind) in kinds.items() if all_.whole(kind)}
    assert "BufferOverflow" in whole and whole == {"BufferOverflow", "RemoteOverflow"}
    # States: a scan goes along with a later exploit of the same source at the same host.
    assert all_.companies(all_.kind("IcmpSweep")) != ours.companies(ours.kind("IcmpSweep"))


@pytest.mark.parametrize(
    ("rule", "rates_all"),
    [
        ("Value: hostAlertCount(?h, ?n) -> reliable(?h, ?n)", False),
        ("Least: involvesTarget(?a, ?h), assetRating(?h, ?n), minimumRisk(?h, ?m) -> A(?a)", False),
        ("Any: involvesTarget(?a, ?h), assetRating(?h, ?n) -> A(?a)", True),
        (
            "Two: assetRating(?h, ?n), minimumRisk(?h, ?m), involvesTarget(?a, ?h), "
            "involvesTarget(?b, ?h) -> A(?a)",
            True,
        ),
    ],
)
def test_which_rules_want_the_risk_of_every_alert(rule: str, rates_all: bool) -> None:
    text = theory(rule).decode()
    for name in ("hostAlertCount", "assetRating", "minimumRisk", "reliable"):
        text = text.replace(f"<{NAMESPACE}{name}>", f"<{PAPER}{name}>")
        text += f"\n<{PAPER}{name}> <{RDF}type> <{OWL}DatatypeProperty> ."
    joins = Joins(text.encode())
    assert joins.rates_all == rates_all
    assert (joins.kind("Odd") >= 0) == rates_all


def test_rules_about_growth_are_noticed() -> None:
    assert not Joins(theory(SCAN_GUESS)).reads_growth
    many = "Many: Scan(?a), involvesSource(?a, ?s), count(?a, ?n) -> Many(?a)"
    assert Joins(theory(SCAN_GUESS, many)).reads_growth


def test_windows_say_no_more_of_alerts_than_the_patterns_know() -> None:
    """Another property in windows would let rules join alerts behind the table's back."""
    said = {line.split()[1].decode() for line in warm_up_window().ntriples.splitlines()}
    known = (RDF + "type", IDPS.hasSource, IDPS.hasTarget, IDPS.beginUs, IDPS.endUs, IDPS.count)
    assert said == {f"<{name}>" for name in (*known, IDPS.verifiedSource, IDPS.ipAddress)}
    assert not build_window((), {}).alerts
