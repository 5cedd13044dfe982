"""Every trap that was measured is named in one line, and what we ship has none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ontology import checking
from ontology.checking.check_files import check_files
from ontology.knowledge_base import ontology_path
from ontology.vocabulary import NAMESPACE, TERMS
from rules.shipped_files import rule_paths
from tests.ontology.checking.rule_texts import rule

ROOT = "https://w3id.org/ontoidps"
JOINED = "involvesTarget(?a, ?h), involvesTarget(?b, ?h)"
VARIABLES = "".join(f'<swrl:Variable rdf:about="urn:swrl:var#{v}"/>' for v in "abcghdtxyz")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Ontology and one file of rules, copied to where a test may break them."""
    return [Path(shutil.copy(p, tmp_path / p.name)) for p in (ontology_path(), rule_paths()[0])]


def append(path: Path, text: str) -> None:
    whole = path.read_text(encoding="utf-8")
    assert whole.count("</rdf:RDF>") == 1
    path.write_text(whole.replace("</rdf:RDF>", text + "</rdf:RDF>"), encoding="utf-8")


def add_rule(text: str, **words: object) -> Callable[[list[Path]], None]:
    return lambda paths: append(paths[1], VARIABLES + rule(text, **words))  # type: ignore[arg-type]


def add_class(name: str, inner: str = "") -> Callable[[list[Path]], None]:
    return lambda paths: append(
        paths[0], f'<owl:Class rdf:about="{NAMESPACE}{name}">{inner}</owl:Class>'
    )


def add(text: str) -> Callable[[list[Path]], None]:
    return lambda paths: append(paths[0], text)


def change(number: int, old: str, new: str) -> Callable[[list[Path]], None]:
    def edit(paths: list[Path]) -> None:
        text = paths[number].read_text(encoding="utf-8")
        assert old in text
        paths[number].write_text(text.replace(old, new), encoding="utf-8")

    return edit


def become(number: int, text: str) -> Callable[[list[Path]], None]:
    return lambda paths: paths[number].write_text(text, encoding="utf-8") and None


def in_turn(*edits: Callable[[list[Path]], None]) -> Callable[[list[Path]], None]:
    def edit(paths: list[Path]) -> None:
        for one in edits:
            one(paths)

    return edit


def test_what_we_ship_has_no_findings() -> None:  # slow: one Java virtual machine, about 2 s
    assert check_files([ontology_path(), *rule_paths()], required=TERMS) == []


BROKEN: dict[str, tuple[Callable[[list[Path]], None], str, str, str]] = {
    # name: (what breaks the file, code, file, words of the line)
    "half a file": (change(1, "</rdf:RDF>", ""), "syntax", "correlation.owl", "not RDF/XML"),
    "OWL/XML": (
        become(1, f'<Ontology xmlns="http://www.w3.org/2002/07/owl#" ontologyIRI="{ROOT}/x"/>'),
        "syntax",
        "correlation.owl",
        "OWL/XML, from which owlready2 loses every rule",
    ),
    "Turtle": (become(1, "@prefix a: <urn:a#> .\n"), "syntax", "correlation.owl", "Turtle"),
    "functional syntax": (become(1, "Prefix(:=<urn:a#>)\n"), "syntax", "correlation.owl", "func"),
    "Manchester syntax": (become(1, "Prefix: : <urn:a#>\n"), "syntax", "correlation.owl", "Manch"),
    "entities": (
        change(0, "<rdf:RDF ", '<!DOCTYPE rdf:RDF [<!ENTITY a "b">]><rdf:RDF '),
        "syntax",
        "ontoidps.owl",
        "document type declarations",
    ),
    "import from elsewhere": (
        change(1, f'<owl:imports rdf:resource="{ROOT}"/>', '<owl:imports rdf:resource="urn:x:y"/>'),
        "import",
        "correlation.owl",
        "never downloaded",
    ),
    "term gone": (
        change(0, f"{NAMESPACE}hasSource", f"{NAMESPACE}hasOrigin"),
        "missing-term",
        "ontoidps.owl",
        "hasSource",
    ),
    "slip of the pen": (
        add_class("X", f'<rdfs:subClassOf rdf:resource="{NAMESPACE}Sacn"/>'),
        "unknown-term",
        "ontoidps.owl",
        "Sacn> is declared nowhere; did you mean Scan?",
    ),
    "undeclared in a rule": (
        add_rule("Sacn(?a) -> FloodFinding(?a)"),
        "unknown-term",
        "correlation.owl",
        "rule 'Tried': <https://w3id.org/ontoidps#Sacn>",
    ),
    "property as class": (
        add_rule("involvesTarget(?a) -> FloodFinding(?a)"),
        "wrong-kind",
        "correlation.owl",
        "is no class, but object property",
    ),
    "class that no window holds": (
        add_rule("involvesTarget(?a, ?h), Scan(?a), Network(?h) -> FloodFinding(?a)"),
        "never-held",
        "correlation.owl",
        "Network(?h): no window holds Network, so the rule never fires; ask for a class below",
    ),
    "value that no window holds": (
        add_rule('Scan(?a), userName(?a, "root"^^string) -> FloodFinding(?a)'),
        "never-held",
        "correlation.owl",
        "no window holds userName, so the rule never fires; write involvesUserName",
    ),
    "profile of a host": (
        add_rule("involvesTarget(?a, ?h), describesHost(?x, ?h) -> FloodFinding(?a)"),
        "never-held",
        "correlation.owl",
        "of a host windows hold assetValue, ",
    ),
    "alerts that share a signature alone": (
        add_rule("matchedSignature(?a, ?x), matchedSignature(?b, ?x) -> correlatedWith(?a, ?b)"),
        "not-local",
        "correlation.owl",
        "{?a} and {?b} share no host",
    ),
    "punning": (
        add(f'<owl:NamedIndividual rdf:about="{NAMESPACE}Gateway"/>'),
        "punning",
        "ontoidps.owl",
        "Gateway: is used as class and as individual",
    ),
    "built-in that Pellet skips": (
        add_rule("beginUs(?a, ?t), swrlb:subtractDates(?d, ?t, ?t) -> FloodFinding(?a)"),
        "builtin-not-run",
        "correlation.owl",
        "swrlb:subtractDates",
    ),
    "no such built-in": (
        add_rule("Scan(?a), swrlx:makeOWLThing(?b, ?a) -> FloodFinding(?b)"),
        "unknown-builtin",
        "correlation.owl",
        "swrlx#makeOWLThing",
    ),
    "unbound variable": (
        add_rule("Scan(?a), swrlb:lessThan(?x, ?y) -> FloodFinding(?a)"),
        "unbound-variable",
        "correlation.owl",
        "nothing gives ?x, ?y a value",
    ),
    "unbound in the head": (
        add_rule("Scan(?a) -> FloodFinding(?b)"),
        "unbound-head",
        "correlation.owl",
        "?b does not occur in the body",
    ),
    "wrong arity": (
        add_rule("beginUs(?a, ?t), swrlb:subtract(?d, ?t) -> FloodFinding(?a)"),
        "wrong-arity",
        "correlation.owl",
        "swrlb:subtract takes 3 arguments",
    ),
    "named like a built-in": (add_class("length"), "name-of-builtin", "ontoidps.owl", "length: "),
    "named like a boolean": (
        add_class("falsePositive"),
        "name-of-boolean",
        "ontoidps.owl",
        "falsePositive: ",
    ),
    "class atoms before join atoms": (
        add_rule(f"Scan(?a), Flood(?b), {JOINED} -> FloodFinding(?a)"),
        "class-before-join",
        "correlation.owl",
        "Flood(?b) stands before",
    ),
    "ill-typed literal": (
        add(
            f'<rdf:Description rdf:about="urn:x:a"><rdf:type rdf:resource="{NAMESPACE}Alert"/>'
            f'<beginUs xmlns="{NAMESPACE}" rdf:datatype="http://www.w3.org/2001/XMLSchema#integer">'
            "abc</beginUs></rdf:Description>"
        ),
        "ill-typed-literal",
        "ontoidps.owl",
        "'abc' of beginUs is no integer",
    ),
    "ill-typed literal in a rule": (
        add_rule('verifiedSource(?a, "yes"^^string) -> FloodFinding(?a)'),
        "ill-typed-literal",
        "correlation.owl",
        "verifiedSource holds boolean",
    ),
    "text compared with a number": (
        add_rule("ipAddress(?h, ?x), swrlb:lessThan(?x, 5^^integer) -> FloodFinding(?h)"),
        "compared-kinds",
        "correlation.owl",
        "wants numbers, gets number and string",
    ),
    "severity that is none": (
        change(0, 'decimal">0.7<', 'decimal">7<'),
        "outcome",
        "ontoidps.owl",
        "fullSeverity must be a number from 0 to 1: '7'",
    ),
    "disabled rule": (
        add_rule("Flood(?a) -> FloodFinding(?a)", enabled=False),
        "disabled-rule",
        "correlation.owl",
        "would run it",
    ),
    "not local": (
        add_rule("Scan(?a), Flood(?b) -> scanThenExploit(?a, ?b)"),
        "not-local",
        "correlation.owl",
        "{?a} and {?b} share no host",
    ),
    "different individuals": (
        add_rule(f"{JOINED}, differentFrom(?a, ?b) -> scanThenExploit(?a, ?b)"),
        "different-never",
        "correlation.owl",
        "differentFrom(?a, ?b) never holds",
    ),
    "conclusion of two rules": (
        add_rule(f"{JOINED}, Scan(?a), Flood(?b) -> scanThenExploit(?a, ?b)"),
        "shared-conclusion",
        "correlation.owl",
        "scanThenExploit is also concluded by rule 'ScanThenExploit'",
    ),
    "finding of two rules": (
        add_rule("Scan(?a) -> FloodFinding(?a)"),
        "shared-conclusion",
        "correlation.owl",
        "FloodFinding is also concluded by rule 'FloodOnHost'",
    ),
    "the same rule again": (
        add_rule("Flood(?x), Host(?y), involvesTarget(?x, ?y) -> FloodFinding(?x)"),
        "same-rule",
        "correlation.owl",
        "it says what rule 'FloodOnHost' says",
    ),
    "about everything": (
        add_rule(
            f"{JOINED}, Alert(?a), beginUs(?a, ?x), beginUs(?b, ?y), swrlb:lessThan(?x, ?y) "
            "-> scanThenExploit(?a, ?b)"
        ),
        "over-broad",
        "correlation.owl",
        "it concludes scanThenExploit(?a, ?b) of every alert",
    ),
    "long text": (
        add_rule(f'sensor(?a, "{"x" * 1001}"^^string), Scan(?a) -> FloodFinding(?a)'),
        "long-literal",
        "correlation.owl",
        "a text above 1000 characters",
    ),
    "pattern from an alert": (
        add_rule("sensor(?a, ?x), Scan(?a), swrlb:matches(?x, ?x) -> FloodFinding(?a)"),
        "slow-pattern",
        "correlation.owl",
        "comes from the alert",
    ),
    "no label": (
        add_rule("Scan(?a) -> FloodFinding(?a)", label=""),
        "no-label",
        "correlation.owl",
        "has no rdfs:label",
    ),
    "label twice": (
        add_rule("Scan(?a) -> FloodFinding(?a)", label="FloodOnHost"),
        "label-twice",
        "correlation.owl",
        "another rule has this label",
    ),
    "no comment": (
        add_rule("Scan(?a) -> FloodFinding(?a)", comment=""),
        "no-comment",
        "correlation.owl",
        "no rdfs:comment",
    ),
    "no body": (add_rule("-> FloodFinding(?a)"), "no-body", "correlation.owl", "always"),
    "single value concluded": (
        add_rule("beginUs(?a, ?t) -> endUs(?a, ?t)"),
        "functional-conclusion",
        "correlation.owl",
        "endUs may have one value only",
    ),
    "another name of a class": (
        add_rule("NetworkNode(?h) -> NodeUnderBufferOverflow(?h)"),
        "equivalent-class",
        "correlation.owl",
        "NetworkNode is another name of Host",
    ),
    "another name, said the other way round": (
        in_turn(
            add_class("Machine"),
            add(
                f'<rdf:Description rdf:about="{NAMESPACE}Host"><owl:equivalentClass '
                f'rdf:resource="{NAMESPACE}Machine"/></rdf:Description>'
            ),
            add_rule("Machine(?h) -> NodeUnderBufferOverflow(?h)"),
        ),
        "equivalent-class",
        "correlation.owl",
        "Machine is another name of Host",
    ),
    "rule with an IRI": (
        lambda paths: append(
            paths[1],
            VARIABLES
            + rule("Scan(?a) -> FloodFinding(?a)").replace(
                "<swrl:Imp>", '<swrl:Imp rdf:about="urn:x:rule1">'
            ),
        ),
        "named-rule",
        "correlation.owl",
        "<urn:x:rule1>, which Protégé loses",
    ),
    "named like a number": (add_class("2ndScan"), "name-of-number", "ontoidps.owl", "2ndScan: "),
    "variable with a hyphen": (
        lambda paths: append(
            paths[1],
            '<swrl:Variable rdf:about="urn:swrl:var#a-b"/>'
            + rule("Scan(?a-b) -> FloodFinding(?a-b)"),
        ),
        "variable-name",
        "correlation.owl",
        "can't read ?a-b",
    ),
    "pairs of one and the same": (
        add_rule(
            f"{JOINED}, Scan(?a), beginUs(?a, ?x), beginUs(?b, ?y), "
            "swrlb:subtract(?d, ?y, ?x), swrlb:lessThan(?d, 60^^integer) -> scanThenExploit(?a, ?b)"
        ),
        "pair-with-itself",
        "correlation.owl",
        "nothing keeps ?a and ?b apart",
    ),
    "text concluded as a number": (
        add_rule("ipAddress(?h, ?x), involvesTarget(?a, ?h) -> count(?a, ?x)"),
        "concluded-kind",
        "correlation.owl",
        "?x is string, count holds integer",
    ),
    "quotient concluded as an integer": (
        add_rule("count(?a, ?x), swrlb:divide(?y, ?x, 2^^integer) -> targetCount(?a, ?y)"),
        "concluded-kind",
        "correlation.owl",
        "?y is number, targetCount holds integer",
    ),
    "rules that feed each other": (
        in_turn(
            add_rule(
                "count(?a, ?x), swrlb:add(?y, ?x, 1^^integer) -> targetCount(?a, ?y)", label="Up"
            ),
            lambda p: append(p[1], rule("targetCount(?a, ?x) -> count(?a, ?x)", label="Back")),
        ),
        "endless",
        "correlation.owl",
        "rule 'Up': it computes targetCount from count",
    ),
    "individual without a name": (
        in_turn(
            add_class(
                "Odd",
                f'<rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="{NAMESPACE}'
                f'hasSource"/><owl:someValuesFrom rdf:resource="{NAMESPACE}Host"/>'
                "</owl:Restriction></rdfs:subClassOf>",
            ),
            add_rule("Scan(?a) -> Odd(?a)"),
        ),
        "unnamed-individual",
        "correlation.owl",
        "each of these has some hasSource",
    ),
    "no head": (add_rule("Scan(?a) -> "), "no-head", "correlation.owl", "concludes nothing"),
    "built-in in the head": (
        add_rule("count(?a, ?x) -> swrlb:lessThan(?x, 5^^integer)"),
        "head-kind",
        "correlation.owl",
        "lessThan(?x, '5') stands in the head",
    ),
    "list without an end": (
        lambda paths: append(
            paths[1],
            VARIABLES
            + rule("Scan(?a) -> FloodFinding(?a)").replace(
                '<rdf:rest rdf:resource="http://www.w3.org/1999/02/22-rdf-syntax-ns#nil"/>', "", 1
            ),
        ),
        "broken-list",
        "correlation.owl",
        "its swrl:body ends without rdf:nil",
    ),
    "rule that owlready2 left empty": (
        lambda paths: append(paths[1], "<swrl:Imp><rdfs:label>Tried</rdfs:label></swrl:Imp>"),
        "broken-list",
        "correlation.owl",
        "rule 'Tried': it has no swrl:body",
    ),
    "atom without its argument": (
        lambda paths: append(
            paths[1],
            VARIABLES
            + rule("Scan(?a) -> FloodFinding(?a)").replace(
                '<swrl:argument1 rdf:resource="urn:swrl:var#a"/>', "", 1
            ),
        ),
        "broken-atom",
        "correlation.owl",
        "Scan(?!) lacks its predicate or an argument",
    ),
    "atom of a data range": (
        lambda paths: append(
            paths[1],
            VARIABLES
            + rule("count(?a, ?x), Scan(?x) -> FloodFinding(?a)")
            .replace(
                f'ClassAtom><swrl:classPredicate rdf:resource="{NAMESPACE}Scan"/>',
                'DataRangeAtom><swrl:dataRange rdf:resource="'
                'http://www.w3.org/2001/XMLSchema#integer"/>',
                1,
            )
            .replace("</swrl:ClassAtom>", "</swrl:DataRangeAtom>", 1),
        ),
        "unknown-atom",
        "correlation.owl",
        "atoms of type DataRangeAtom are not run",
    ),
    "class expression": (
        lambda paths: append(
            paths[1],
            VARIABLES
            + rule("Scan(?a) -> FloodFinding(?a)").replace(
                f'<swrl:classPredicate rdf:resource="{NAMESPACE}Scan"/>',
                "<swrl:classPredicate><owl:Class><owl:complementOf "
                f'rdf:resource="{NAMESPACE}Scan"/></owl:Class></swrl:classPredicate>',
                1,
            ),
        ),
        "class-expression",
        "correlation.owl",
        "a class expression in a rule",
    ),
}


KEPT_APART = (
    "swrlb:notEqual(?x, ?y)",
    "swrlb:lessThan(?x, ?y)",
    "swrlb:subtract(?d, ?y, ?x), swrlb:greaterThan(?d, 0^^integer)",
    "swrlb:add(?z, ?x, 5^^integer), swrlb:greaterThanOrEqual(?y, ?z)",
)


@pytest.mark.parametrize("how", KEPT_APART)
def test_a_comparison_keeps_the_two_of_a_pair_apart(how: str, paths: list[Path]) -> None:
    text = f"{JOINED}, Scan(?a), beginUs(?a, ?x), beginUs(?b, ?y), {how} -> scanThenExploit(?a, ?b)"
    add_rule(text)(paths)
    found = check_files(paths, required=TERMS, logic=False)
    assert {p.code for p in found} == {"shared-conclusion"}


def test_a_bound_ends_what_feeds_itself(paths: list[Path]) -> None:
    bound = "swrlb:lessThan(?y, 9^^integer)"
    add_rule(f"count(?a, ?x), swrlb:add(?y, ?x, 1^^integer), {bound} -> count(?a, ?y)")(paths)
    found = check_files(paths, required=TERMS, logic=False)
    assert {p.code for p in found} <= {"functional-conclusion"}


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        # The length of a chain: it ends where the chain does.
        (
            "scanThenExploit(?a, ?b), count(?a, ?x), swrlb:add(?y, ?x, 1^^integer)"
            " -> count(?b, ?y)",
            ["warning"],
        ),
        ("sensor(?a, ?x), swrlb:upperCase(?y, ?x) -> sensor(?a, ?y)", []),
        ("count(?a, ?x), swrlb:multiply(?y, ?x, 2^^integer) -> count(?a, ?y)", ["error"]),
    ],
)
def test_what_may_end_is_no_error(text: str, levels: list[str], paths: list[Path]) -> None:
    add_rule(text)(paths)
    found = check_files(paths, required=TERMS, logic=False)
    assert [p.level for p in found if p.code == "endless"] == levels


def test_a_rounded_quotient_is_an_integer(paths: list[Path]) -> None:
    quotient = "swrlb:divide(?y, ?x, 2^^integer), swrlb:floor(?z, ?y)"
    add_rule(f"count(?a, ?x), {quotient} -> targetCount(?a, ?z)")(paths)
    found = check_files(paths, required=TERMS, logic=False)
    assert "concluded-kind" not in {p.code for p in found}


def test_every_code_of_a_rule_or_term_has_a_variant() -> None:
    """So that a new check does not come without a file that it is for."""
    sources = Path(checking.__file__).parent
    names = ("rules.py", "terms.py", "breadth.py", "conclusions.py", "held_terms.py")
    said = "".join((sources / name).read_text() for name in names)
    codes = set(re.findall(r'yield \(?\s*"([a-z-]+)"', said)) | set(
        re.findall(r'code="([a-z-]+)"', said)
    )
    assert len(codes) > 30
    of_files = {"syntax", "import", "missing-term", "outcome"}
    assert codes == {code for _, code, *_ in BROKEN.values()} - of_files


def test_every_code_is_in_the_docs() -> None:
    docs = (ontology_path().parent.parent / "docs" / "protege.md").read_text(encoding="utf-8")
    for code in {code for _, code, *_ in (*BROKEN.values(), *LOGIC.values())}:
        assert f"`{code}`" in docs, code


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained(name: str, paths: list[Path]) -> None:
    breaks, code, file, words = BROKEN[name]
    breaks(paths)
    found = check_files(paths, required=TERMS, logic=False)
    (line,) = (str(p) for p in found if p.code == code)
    assert words in line
    assert line.startswith(str(paths[0].with_name(file)))
    assert "\n" not in line


LOGIC: dict[str, tuple[Callable[[list[Path]], None], str, str]] = {
    "inconsistent": (
        add(
            f'<rdf:Description rdf:about="urn:x:a"><rdf:type rdf:resource="{NAMESPACE}Alert"/>'
            f'<rdf:type rdf:resource="{NAMESPACE}Host"/></rdf:Description>'
        ),
        "inconsistent",
        "Alert is a kind of Event (ontoidps.owl); ",
    ),
    "unsatisfiable": (
        add_class(
            "Odd",
            f'<rdfs:subClassOf rdf:resource="{NAMESPACE}Alert"/>'
            f'<rdfs:subClassOf rdf:resource="{NAMESPACE}Host"/>',
        ),
        "unsatisfiable",
        "Odd: nothing can be one: Alert is a kind of Event (ontoidps.owl)",
    ),
    "outside OWL 2 DL": (
        add(
            f'<owl:ObjectProperty rdf:about="{NAMESPACE}odd"><rdf:type rdf:resource="http://'
            'www.w3.org/2002/07/owl#TransitiveProperty"/><rdf:type rdf:resource="http://'
            'www.w3.org/2002/07/owl#AsymmetricProperty"/></owl:ObjectProperty>'
        ),
        "profile",
        "use of non simple property in asymmetric object property axiom: Asymmetric: odd",
    ),
}


@pytest.mark.parametrize("name", LOGIC)
def test_logic_is_explained_with_the_axioms_that_clash(
    name: str, paths: list[Path]
) -> None:  # slow: one Java virtual machine each, about 2 s
    breaks, code, words = LOGIC[name]
    breaks(paths)
    (problem,) = check_files(paths, required=TERMS)
    assert problem.code == code
    assert words in str(problem)
    assert "\n" not in str(problem)
