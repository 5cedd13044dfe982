"""``… logic_worker FILE… [--before FILE…]``: OWL API and Pellet look at files; JSON lines.

Run by `logic` in a process of its own, because the JVM can't be stopped otherwise. The files are
given imported ones first; an import is looked up among them, never on the network. Standard input
is empty, or two frames (`ontology.frames`): the theory as agents reason with it, with the
number of rules it should have, and a window to try it on.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jpype

from ontology import frames
from ontology.checking.wording import DISJOINT, say
from ontology.confined_worker import confine_worker
from ontology.reasoner.client import QUICK
from ontology.reasoner.pellet import Inconsistent, Pellet, start_jvm

HEAP_MIB = 512
BEFORE = "--before"
"""As in `logic`."""
MAX_CLASSES = 10
"""Unsatisfiable classes explained."""
_OWL = "org.semanticweb.owlapi."
_TERMS = {
    "SubClassOf": ("subClassOf", ("getSubClass", "getSuperClass")),
    "DisjointClasses": ("disjointClasses", ()),
    "EquivalentClasses": ("equivalentClasses", ()),
    "ClassAssertion": ("type", ("getIndividual", "getClassExpression")),
    "ObjectPropertyDomain": ("domain", ("getProperty", "getDomain")),
    "DataPropertyDomain": ("domain", ("getProperty", "getDomain")),
    "ObjectPropertyRange": ("range", ("getProperty", "getRange")),
    "SubObjectPropertyOf": ("subProperty", ("getSubProperty", "getSuperProperty")),
    "FunctionalObjectProperty": ("functional", ("getProperty",)),
    "FunctionalDataProperty": ("functional", ("getProperty",)),
    "ObjectPropertyAssertion": ("prop", ("getProperty", "getSubject", "getObject")),
}
"""Axiom type → function as in Pellet's terms, and where its arguments are."""


class _Api:
    def __init__(self, paths: list[Path], before: list[Path]) -> None:
        java = jpype.JClass
        self.manager = java(_OWL + "apibinding.OWLManager").createOWLOntologyManager()
        iri, file = java(_OWL + "model.IRI"), java("java.io.File")
        self._renderer = java(
            "uk.ac.manchester.cs.owl.owlapi.mansyntaxrenderer."
            "ManchesterOWLSyntaxOWLObjectRendererImpl"
        )()
        self.loaded: list[tuple[Path, Any]] = []
        for path in paths:
            # Imported files come first, so the manager never has to look for one.
            document = iri.create(file(str(path)).toURI())
            self.loaded.append((path, self.manager.loadOntology(document)))
        # Of files that were not edited there is no old form to compare with.
        self._old = [self._alone(path) for path in before]
        self._compared = bool(before)

    def _alone(self, path: Path) -> Any:
        """A file without what it imports."""
        java = jpype.JClass
        config = java(_OWL + "model.OWLOntologyLoaderConfiguration")()
        for _, ontology in self.loaded:
            config = config.addIgnoredImport(ontology.getOntologyID().getOntologyIRI())
        manager = java(_OWL + "apibinding.OWLManager").createOWLOntologyManager()
        source = java(_OWL + "io.FileDocumentSource")(java("java.io.File")(str(path)))
        return manager.loadOntologyFromOntologyDocument(source, config)

    def said(self, thing: Any) -> str:
        """In Manchester syntax, names without their namespace."""
        text = " ".join(str(self._renderer.render(thing)).split())
        return re.sub(r"<[^<>\s]*[#/:]([^<>\s#/:]+)>", r"\1", text)

    def profile(self) -> list[dict[str, str]]:
        """Violations of OWL 2 DL, each once."""
        profile = jpype.JClass(_OWL + "profiles.OWL2DLProfile")()
        found: dict[str, str] = {}
        for path, ontology in self.loaded:
            for violation in profile.checkOntology(ontology).getViolations():
                kind = str(violation.getClass().getSimpleName())
                axiom = violation.getAxiom()
                words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
                text = f"{words}: {self.said(axiom)[:300]}" if axiom is not None else words
                found.setdefault(text, str(path))
        return [{"path": path, "message": message} for message, path in found.items()]

    def logic(self) -> list[dict[str, Any]]:
        """Inconsistency or unsatisfiable classes, with the axioms that clash."""
        factory = jpype.JClass("com.clarkparsia.pellet.owlapiv3.PelletReasonerFactory")
        explanation = jpype.JClass("com.clarkparsia.owlapi.explanation.PelletExplanation")
        explanation.setup()
        path, _ = self.loaded[-1]
        merged = self._merged()
        reasoner = factory.getInstance().createReasoner(merged)
        explain = explanation(reasoner)
        if not reasoner.isConsistent():
            axioms = explain.getInconsistencyExplanation()
            return [{"path": str(path), "code": "inconsistent", "axioms": self._axioms(axioms)}]
        found: list[dict[str, Any]] = []
        bottom = reasoner.getUnsatisfiableClasses().getEntitiesMinusBottom()
        for entity in sorted(bottom, key=str)[:MAX_CLASSES]:
            axioms = explain.getUnsatisfiableExplanation(entity)
            found.append(
                {
                    "path": str(self._declares(entity) or path),
                    "code": "unsatisfiable",
                    "where": self.said(entity),
                    "axioms": self._axioms(axioms),
                }
            )
        # What an edit made impossible itself takes the fewest axioms to explain.
        return sorted(found, key=lambda one: len(one["axioms"]))

    def _merged(self) -> Any:
        """All files as one ontology: a file need not import all others."""
        java = jpype.JClass
        axioms = java("java.util.HashSet")()
        for _, ontology in self.loaded:
            axioms.addAll(ontology.getAxioms())
        manager = java(_OWL + "apibinding.OWLManager").createOWLOntologyManager()
        return manager.createOntology(axioms)

    def _declares(self, entity: Any) -> Path | None:
        return next((p for p, o in self.loaded if o.isDeclared(entity)), None)

    def _axioms(self, axioms: Any) -> list[dict[str, Any]]:
        """What clashes: terms as Pellet writes them, the file, and whether it is new there."""
        return [
            {
                "term": self._term(axiom),
                "file": str(next((p for p, o in self.loaded if o.containsAxiom(axiom)), "")),
                "new": self._compared and not any(o.containsAxiom(axiom) for o in self._old),
            }
            for axiom in axioms
        ]

    def _term(self, axiom: Any) -> list[str]:
        """Function and IRIs; Manchester syntax where more than names stands in an axiom."""
        kind = str(axiom.getAxiomType().getName())
        function, parts = _TERMS.get(kind, ("", ()))
        names = [getattr(axiom, part)() for part in parts]
        if kind in ("DisjointClasses", "EquivalentClasses"):
            names = list(axiom.getClassExpressions())
        if not function or any(n.isAnonymous() for n in names):
            return ["said", self.said(axiom)[:300]]
        return [function, *(str(n.toStringID()) for n in names)]


def _try_out(theory: bytes, rules: int, window: bytes) -> str:
    """What is wrong with the theory as agents use it; empty if nothing is."""
    pellet = Pellet()
    taken = pellet.load_theory(theory)
    if taken != rules:
        return f"Pellet takes {taken} of {rules} rules"
    try:
        pellet.infer(window, [], [], [])
    except Inconsistent as e:
        about = frozenset(t for p in e.premises if p[0] not in DISJOINT for t in p[1:])
        axioms = [p for p in e.premises if p[0] not in ("type", "prop")] or e.premises
        reasons = "; ".join(say(p, about) for p in axioms)
        return f"plain alerts contradict it: {reasons[:500]}"
    return ""


def main(arguments: list[str]) -> None:
    """Print one JSON object a problem."""
    place = arguments.index(BEFORE) if BEFORE in arguments else len(arguments)
    given, before = [
        [Path(a) for a in part] for part in (arguments[:place], arguments[place + 1 :])
    ]
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever Java prints must not fall among our lines
    confine_worker(read=[*given, *before])
    start_jvm(HEAP_MIB, QUICK)
    api = _Api(given, before)
    for problem in api.profile():
        print(json.dumps({"code": "profile", **problem}), file=out)
    illogical = api.logic()
    for problem in illogical:
        print(json.dumps(problem), file=out)
    stdin = sys.stdin.buffer
    if (theory := frames.read(stdin)) and (window := frames.read(stdin)):
        wrong = _try_out(theory[1], theory[0]["rules"], window[1])
        if wrong and not illogical:
            print(
                json.dumps({"path": str(given[-1]), "code": "pellet", "message": wrong}), file=out
            )
    print(json.dumps({"done": True}), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    # JPype's own shutdown can hang on attached threads; there is nothing left to save.
    os._exit(0)
