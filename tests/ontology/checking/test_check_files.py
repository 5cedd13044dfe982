"""Every trap that was measured is named in one line, and what we ship has none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ontology.checking.files import check_files
from ontology.knowledge_base import ontology_path
from ontology.vocabulary import NAMESPACE, TERMS
from rules.files import rule_paths
from tests.ontology.checking.rule_texts import rule

ROOT = "https://w3id.org/ontoidps"
JOINED = "involvesTarget(?a, ?h), involvesTarget(?b, ?h)"
VARIABLES = "".join(f'<swrl:Variable rdf:about="urn:swrl:var#{v}"/>' for v in "abcghdtxyz")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """The shipped files, copied to where a test may break them."""
    return [Path(shutil.copy(p, tmp_path / p.name)) for p in (ontology_path(), *rule_paths())]


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
}


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
        "Alert SubClassOf Event; DisjointClasses: Agent, Host",
    ),
    "unsatisfiable": (
        add_class(
            "Odd",
            f'<rdfs:subClassOf rdf:resource="{NAMESPACE}Alert"/>'
            f'<rdfs:subClassOf rdf:resource="{NAMESPACE}Host"/>',
        ),
        "unsatisfiable",
        "Odd: these clash: Alert SubClassOf Event",
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
