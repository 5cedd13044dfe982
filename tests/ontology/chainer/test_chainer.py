"""The chainer against Pellet, on random windows and built-in by built-in."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest
from pyoxigraph import RdfFormat, parse, serialize

from ontology.chainer.builtins import FUNCTIONS, TESTS, Unsure
from ontology.chainer.chainer import Chainer
from ontology.chainer.closure import TooMuchWork
from ontology.chainer.rulebook import RulebookError
from ontology.host_event import account_names
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import InconsistentWindow, Inferences, ReasonerCrashed
from ontology.reasoner.window import Window, build_window, warm_up_window
from ontology.records import Address, Alert, HostProfile
from ontology.theory import Theory
from ontology.vocabulary import IDPS, NAMESPACE
from ontology.window_terms import READ
from tests.factories import make_alert, make_profile, record_id

RandomWindow = Callable[[int, int], Window]
WINDOWS = int(os.environ.get("ONTOIDPS_WINDOWS", "250"))
"""A thousand take a minute."""
PREFIXES = f"""@prefix : <{NAMESPACE}> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix swrl: <http://www.w3.org/2003/11/swrl#> .
@prefix swrlb: <http://www.w3.org/2003/11/swrlb#> . @prefix v: <urn:swrl:var#> .
""" + "".join(f"v:{name} a swrl:Variable . " for name in "abghrstxyz")


def conclusions(found: Inferences) -> set[tuple[str, ...]]:
    return (
        {(iri(p.property), p.subject, p.object) for p in found.pairs}
        | {(iri(m.name), m.individual) for m in found.members}
        | {(iri(v.property), v.subject, v.value) for v in found.values}
    )


def iri(name: str) -> str:
    """Terms of the scenario rules have a namespace of their own."""
    return name if "#" in name else NAMESPACE + name


def atom(text: str) -> str:
    """``Name(a,b)``: a class, a property (data properties in ``DATA``) or, lower-case with an
    underscore in front, a built-in; arguments are variables, or Turtle literals."""
    name, _, rest = text.rstrip(")").partition("(")
    arguments = [
        a if a[0] in '"0123456789' or a in ("true", "false") else f"v:{a}" for a in rest.split(",")
    ]
    if name.startswith("_"):
        slots = f"swrl:arguments ( {' '.join(arguments)} )"
        return f"[ a swrl:BuiltinAtom ; swrl:builtin swrlb:{name[1:]} ; {slots} ]"
    slots = " ".join(f"; swrl:argument{i + 1} {a}" for i, a in enumerate(arguments))
    if len(arguments) == 1:
        return f"[ a swrl:ClassAtom ; swrl:classPredicate :{name} {slots} ]"
    kind = "DatavaluedPropertyAtom" if name in DATA else "IndividualPropertyAtom"
    return f"[ a swrl:{kind} ; swrl:propertyPredicate :{name} {slots} ]"


DATA = {"count", "beginUs", "endUs", "ipAddress", "verifiedSource", "number", "text"}


def extended(knowledge: bytes, rules: dict[str, str], axioms: str = "") -> Theory:
    """The shipped theory with more rules, as ``body -> head`` with atoms parted by blanks."""
    turtle = PREFIXES + axioms
    for label, rule in rules.items():
        body, head = (" ".join(atom(a) for a in side.split()) for side in rule.split("->"))
        turtle += (
            f'\n[] a swrl:Imp ; rdfs:label "{label}" ; swrl:body ( {body} ) ; '
            f"swrl:head ( {head} ) ."
        )
    extra = serialize(parse(turtle.encode(), format=RdfFormat.TURTLE), format=RdfFormat.N_TRIPLES)
    return Theory.from_ntriples(knowledge + extra)


# Facts about hosts that other rules build on, values, constants, chains, inverse and symmetric
# properties, a functional object property: whatever rules may meet that the shipped ones do not.
MORE_AXIOMS = """
:met a owl:ObjectProperty , owl:SymmetricProperty .
:metBy a owl:ObjectProperty ; owl:inverseOf :follows . :follows a owl:ObjectProperty .
:number a owl:DatatypeProperty . :text a owl:DatatypeProperty .
:Probed a owl:Class ; rdfs:subClassOf :Host . :Busy a owl:Class . :Calm a owl:Class .
"""
MORE_RULES = {
    "Probed": "Scan(a) involvesTarget(a,h) -> Probed(h)",
    "AttackOnProbed": "Exploit(a) involvesTarget(a,h) Probed(h) -> Busy(a)",
    "Pot": "Busy(a) involvesTarget(a,h) -> Honeypot(h)",
    "Follows": "Alert(a) Alert(b) involvesTarget(a,h) involvesTarget(b,h) beginUs(a,s) beginUs(b,t)"
    " _lessThan(s,t) -> follows(b,a)",
    "Backwards": "metBy(a,b) Scan(a) Flood(b) -> met(a,b)",
    "Symmetric": "met(b,a) Flood(b) -> Calm(a)",
    "Gap": "Flood(a) beginUs(a,s) endUs(a,t) _subtract(r,t,s) _greaterThan(r,60000000)"
    " -> number(a,r)",
    "Address": 'Busy(a) involvesTarget(a,h) ipAddress(h,x) _startsWith(x,"198.51.") -> text(a,x)',
    "Same": "correlatedWith(a,a) -> Calm(a)",
    "Verified": "Scan(a) verifiedSource(a,true) count(a,1) -> Calm(a)",
}


@pytest.fixture(scope="module")
def plain(theory: Theory) -> Iterator[PelletWorker]:
    """Pellet on whole windows: nothing of ours between them."""
    with PelletWorker(theory, prefilter=False) as started:
        yield started


@contextmanager
def using(worker: PelletWorker, theory: Theory) -> Iterator[Counter[str]]:
    """The worker with other rules for a while; gives its counters since then."""
    before = worker.theory
    worker.set_theory(theory)
    worker.counters.clear()
    try:
        yield worker.counters
    finally:
        worker.set_theory(before)


def test_random_windows_without_a_difference(
    theory: Theory, plain: PelletWorker, worker: PelletWorker, random_window: RandomWindow
) -> None:
    chainer = Chainer(theory.ntriples)
    facts = 0
    before = worker.counters.copy()
    for seed in range(1000, 1000 + WINDOWS):
        window = random_window(seed, 3 + seed % 8)
        closure = chainer.close(window.ntriples)
        assert closure.contradiction == ""
        expected = closure.conclusions(theory)
        assert conclusions(plain.reason(window, 30.0)) == expected, seed
        if seed % 4 == 0:
            assert conclusions(worker.reason(window, 30.0)) == expected, seed
        facts += len(expected)
    assert facts > WINDOWS
    counters = worker.counters - before
    assert counters["whole_windows"] == 0
    assert counters["alerts_reached"] < counters["window_alerts"]


def test_rules_about_hosts_values_and_inverses_without_a_difference(
    knowledge: bytes, worker: PelletWorker, random_window: RandomWindow
) -> None:
    more = extended(knowledge, MORE_RULES, MORE_AXIOMS)
    chainer = Chainer(more.ntriples)
    fired = set()
    with using(worker, more) as counters:
        for seed in range(100):
            window = random_window(seed, 4 + seed % 9)
            closure = chainer.close(window.ntriples)
            assert conclusions(worker.reason(window, 30.0)) == closure.conclusions(more), seed
            fired |= {firing.rule for firing in closure.firings}
        assert fired >= MORE_RULES.keys()
        assert counters["whole_windows"] == 0


TOUCHED = {IDPS.touchedHoneypots: 3, IDPS.touchedGateways: 2}


def value_rules() -> tuple[dict[str, str], str]:
    """A rule for each value that windows hold, and the axioms that declare what they conclude."""
    rules, axioms = {}, ""
    for valued in READ:
        name = valued.term.local_name
        side = "Source" if valued.term in TOUCHED else "Target"
        where = {
            "Alert": f"Alert(a) {name}(a,x)",
            "Host": f"involves{side}(a,h) {name}(h,x)",
            "Signature": f"matchedSignature(a,s) {name}(s,x)",
        }[valued.of]
        if valued.datatype:
            DATA.update((name, f"its_{name}"))
            rules[name] = f"{where} -> its_{name}(a,x)"
            axioms += f":its_{name} a owl:DatatypeProperty . "
    rules["far"] = "Scan(a) clusterDistance(a,x) _greaterThan(x,1) -> Calm(a)"
    rules["sure"] = "Alert(a) confidence(a,x) _greaterThanOrEqual(x,0.5) -> Busy(a)"
    rules["ours"] = 'involvesTarget(a,h) hostRole(h,"Honeypot") assetValue(h,3) -> Probed(h)'
    rules["port"] = "Alert(a) targetPort(a,6379) -> Busy(a)"
    return rules, axioms


def told(seed: int) -> tuple[list[Alert], dict[Address, HostProfile]]:
    """Alerts with all that can be told of them, hosts with theirs."""
    rnd = random.Random(seed)
    pots = [IPv4Address(f"198.51.100.{n}") for n in (1, 2)]
    alerts = [
        make_alert(
            id=record_id(n),
            classification=rnd.choice(["SynScan", "SshBruteForce", "SqlInjection"]),
            target=rnd.choice(pots),
            target_port=rnd.choice([None, 22, 6379]),
            confidence=rnd.choice([0.3, 0.5, 1e-7]),
            severity=rnd.choice([None, 0.75]),
            users=account_names(rnd.sample(["a\"\\.'", "root", "säm"], rnd.randrange(3))),
            cluster_number=7,
            cluster_name='own "scanner"',
            cluster_distance=rnd.choice([None, 0.25, 3.5]),
            signatures=rnd.choice([(), ("urn:ontoidps:signature:1:2019401",)]),
            cves=rnd.choice([(), ("CVE-2014-6271",)]),
            affected_services=("http",),
            affected_systems=("linux",),
        )
        for n in range(6)
    ]
    host = make_profile(
        pots[0],
        roles=("Honeypot",),
        asset_value=rnd.choice([0, 3]),
        security_grade=2,
        operating_system="Debian 12",
        open_ports=(22, 6379),
        open_services=("OpenSSH 9.2",),
        fixed_vulnerabilities=("CVE-2014-6271",),
        protected_by=("firewall",),
    )
    return alerts, {pots[0]: host}


def test_every_value_of_a_window_without_a_difference(
    knowledge: bytes, worker: PelletWorker, plain: PelletWorker
) -> None:
    rules, axioms = value_rules()
    more = extended(knowledge, rules, MORE_AXIOMS + axioms)
    assert more.reads == {valued.term for valued in READ}
    chainer, fired = Chainer(more.ntriples), set[str]()
    with using(worker, more) as counters, using(plain, more):
        for seed in range(12):
            window = build_window(
                *told(seed), more.reads, lambda alert: "database", lambda source: TOUCHED
            )
            closure = chainer.close(window.ntriples)
            expected = {
                (*c[:2], norm(c[2])) if len(c) > 2 else c for c in closure.conclusions(more)
            }
            for one in (worker, plain):
                found = conclusions(one.reason(window, 30.0))
                assert {(*c[:2], norm(c[2])) if len(c) > 2 else c for c in found} == expected, seed
            fired |= {firing.rule for firing in closure.firings}
        assert fired >= rules.keys()
        assert counters["whole_windows"] == 0
    names = {c[2] for c in expected if c[0].endswith("its_involvesUserName")}
    assert names <= {"a\"\\.'", "root", "säm"}


TEXT = frozenset(
    """stringEqualIgnoreCase contains containsIgnoreCase startsWith endsWith stringConcat
    stringLength upperCase lowerCase""".split()
)


def builtin_rules() -> dict[str, str]:
    rules = {}
    for kind in ("number", "text"):
        where = f"Scan(a) {kind}(a,x) {kind}(a,y)"
        for name in TESTS:
            rules[f"{name} {kind}"] = f"{where} _{name}(x,y) -> was_{name}_{kind}(a,y)"
        for name, (_, most, _) in FUNCTIONS.items():
            arguments = "x,y" if most > 1 else "x"
            rules[f"{name} {kind}"] = f"{where} _{name}(r,{arguments}) -> is_{name}_{kind}(a,r)"
    return {label: rule for label, rule in rules.items() if label not in UNSURE}


UNSURE = {f"{name} number" for name in TEXT}


def test_every_builtin_means_what_it_means_to_pellet(knowledge: bytes, plain: PelletWorker) -> None:
    rules = builtin_rules()
    heads = {rule.rpartition("-> ")[2].partition("(")[0] for rule in rules.values()}
    DATA.update(heads)
    axioms = MORE_AXIOMS + "".join(f":{head} a owl:DatatypeProperty . " for head in sorted(heads))
    theory = extended(knowledge, rules, axioms)
    values = [f'number> "{n}"^^<http://www.w3.org/2001/XMLSchema#integer>' for n in (-7, 0, 2, 12)]
    values += [
        f'number> "{n}"^^<http://www.w3.org/2001/XMLSchema#decimal>' for n in ("2.5", "-0.5")
    ]
    values += [
        f'text> "{t}"^^<http://www.w3.org/2001/XMLSchema#string>' for t in ("", "ab", "AB", "Abc")
    ]
    lines = [f"<urn:x:a> <{NAMESPACE}{value} .\n" for value in values]
    lines.append(
        f"<urn:x:a> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{NAMESPACE}Scan> .\n"
    )
    window = Window("".join(lines).encode(), 1)
    closure = Chainer(theory.ntriples).close(window.ntriples)
    with using(plain, theory):
        found = conclusions(plain.reason(window, 30.0))
    ours, theirs = (
        {head: {norm(c[2]) for c in side if c[0] == NAMESPACE + head} for head in heads}
        for side in (closure.conclusions(theory), found)
    )
    assert {h: (ours[h], theirs[h]) for h in heads if ours[h] != theirs[h]} == {}
    assert sum(bool(found) for found in theirs.values()) >= len(TESTS) + len(FUNCTIONS) - 2


def norm(text: str) -> str:
    """Numbers by value: the two write decimals differently."""
    try:
        return f"{float(text) + 0.0:.9g}"
    except ValueError:
        return text


def test_two_objects_of_a_functional_property_are_one_individual(
    theory: Theory, plain: PelletWorker, worker: PelletWorker
) -> None:
    begin = warm_up_window(8)
    alert = "urn:uuid:00000000-0000-5000-8000-000000000001"
    other = f"<{alert}> <{NAMESPACE}hasTarget> <urn:ontoidps:host:203.0.113.99> .\n"
    window = Window(begin.ntriples + other.encode(), 8)
    expected = Chainer(theory.ntriples).close(window.ntriples).conclusions(theory)
    # Two addresses of one host contradict each other only if both are told.
    assert conclusions(plain.reason(window, 30.0)) == expected
    assert conclusions(worker.reason(window, 30.0)) == expected


@pytest.mark.parametrize("value", ["1", "soon"])
def test_contradictions_are_pellets_word(value: str, theory: Theory, worker: PelletWorker) -> None:
    bad = (
        f"<urn:uuid:00000000-0000-5000-8000-000000000000> <{NAMESPACE}beginUs> "
        f'"{value}"^^<http://www.w3.org/2001/XMLSchema#integer> .\n'
    )
    window = Window(warm_up_window(4).ntriples + bad.encode(), 4)
    assert "beginUs" in Chainer(theory.ntriples).close(window.ntriples).contradiction
    # On an ill-typed value among others Pellet itself may stumble; then the message says over what.
    with pytest.raises((InconsistentWindow, ReasonerCrashed), match="beginUs"):
        worker.reason(window, 30.0)


def test_text_builtins_on_numbers_are_left_to_pellet(
    knowledge: bytes, worker: PelletWorker
) -> None:
    rules = {"Ends": 'Scan(a) count(a,x) _endsWith(x,"1") -> FloodFinding(a)'}
    theory = extended(knowledge, rules)
    with pytest.raises(Unsure):
        Chainer(theory.ntriples).close(warm_up_window(5).ntriples)
    with using(worker, theory) as counters:
        assert {m.name for m in worker.reason(warm_up_window(5), 30.0).members} >= {"FloodFinding"}
        assert counters["whole_windows"] == 1


@pytest.mark.parametrize(
    ("rules", "axioms", "message"),
    [
        (
            {"Sine": "Scan(a) count(a,x) _sin(r,x) -> Flood(a)"},
            "",
            "'Sine': the chainer can't run sin",
        ),
        ({}, ":involvesSource a owl:TransitiveProperty .", "TransitiveProperty"),
        ({}, ":A a owl:Class ; rdfs:subClassOf [ a owl:Restriction ] .", "Restriction|class"),
        ({}, ":A a owl:Class ; owl:complementOf :Alert .", "complementOf"),
        ({}, ":p a owl:ObjectProperty ; owl:propertyChainAxiom ( :p :p ) .", "propertyChainAxiom"),
    ],
)
def test_what_it_does_not_know_it_refuses(
    rules: dict[str, str], axioms: str, message: str, knowledge: bytes
) -> None:
    with pytest.raises(RulebookError, match=message):
        Chainer(extended(knowledge, rules, axioms).ntriples)


def test_an_atom_that_it_does_not_know_is_refused(knowledge: bytes) -> None:
    rules = {"Known": "Scan(a) follows(a,b) -> Flood(a)"}
    data = extended(knowledge, rules, MORE_AXIOMS).ntriples
    swapped = data.replace(b"IndividualPropertyAtom", b"SameIndividualAtom")
    with pytest.raises(RulebookError, match="SameIndividualAtom"):
        Chainer(swapped)


@pytest.mark.parametrize(
    "rule",
    [
        "Alert(a) Alert(b) Alert(g) Alert(h) -> follows(a,h)",
        "number(a,x) _add(r,x,1) -> number(a,r)",
    ],
)
def test_a_runaway_rule_makes_it_give_up(rule: str, knowledge: bytes) -> None:
    theory = extended(knowledge, {"Runaway": rule}, MORE_AXIOMS)
    window = warm_up_window(100).ntriples
    first = f'<urn:x:a> <{NAMESPACE}number> "1"^^<http://www.w3.org/2001/XMLSchema#integer> .\n'
    with pytest.raises(TooMuchWork):
        Chainer(theory.ntriples).close(window + first.encode())


def test_a_theory_that_it_refuses_leaves_every_alert_to_pellet(
    knowledge: bytes, worker: PelletWorker
) -> None:
    rules = {"Sine": "Scan(a) count(a,x) _sin(r,x) _lessThan(r,2) -> FloodFinding(a)"}
    with using(worker, extended(knowledge, rules)) as counters:
        assert worker.reason(warm_up_window(20), 30.0).members
        assert counters["whole_windows"] == 1


def test_nothing_to_infer_does_not_reach_pellet(worker: PelletWorker) -> None:
    before = worker.counters.copy()
    lonely = warm_up_window(1)
    assert conclusions(worker.reason(lonely, 30.0)) == set()
    assert worker.counters["parts"] == before["parts"]
    assert worker.counters["window_alerts"] == before["window_alerts"] + 1


def test_what_the_window_asserts_of_a_head_is_not_lost(
    worker: PelletWorker, plain: PelletWorker
) -> None:
    name = NAMESPACE + "BlockCandidate"
    said = f"<urn:x:a> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{name}> .\n"
    window = Window(said.encode(), 1)
    found = conclusions(worker.reason(window, 30.0))
    assert (
        found
        == conclusions(plain.reason(window, 30.0))
        == {(NAMESPACE + "BlockCandidate", "urn:x:a")}
    )


def test_order_of_facts_does_not_matter(theory: Theory, random_window: RandomWindow) -> None:
    chainer = Chainer(theory.ntriples)
    for seed in range(20):
        window = random_window(seed, 12)
        lines = window.ntriples.splitlines(keepends=True)
        random.Random(seed).shuffle(lines)
        shuffled = chainer.close(b"".join(lines)).conclusions(theory)
        assert shuffled == chainer.close(window.ntriples).conclusions(theory)
