"""``python -m ontology.checking.logic_worker FILE…``: OWL API and Pellet look at files; JSON lines.

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
from ontology.confined_worker import confine_worker
from ontology.reasoner.pellet import Inconsistent, Pellet, start_jvm

HEAP_MIB = 512
MAX_AXIOMS = 8
"""Of one explanation."""
MAX_CLASSES = 10
"""Unsatisfiable classes explained."""
_OWL = "org.semanticweb.owlapi."


class _Api:
    def __init__(self, paths: list[Path]) -> None:
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

    def logic(self) -> list[dict[str, str]]:
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
            return [{"path": str(path), "code": "inconsistent", "message": self._clash(axioms)}]
        found = []
        bottom = reasoner.getUnsatisfiableClasses().getEntitiesMinusBottom()
        for entity in sorted(bottom, key=str)[:MAX_CLASSES]:
            found.append(
                {
                    "path": str(self._declares(entity) or path),
                    "code": "unsatisfiable",
                    "where": self.said(entity),
                    "message": self._clash(explain.getUnsatisfiableExplanation(entity)),
                }
            )
        return found

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

    def _clash(self, axioms: Any) -> str:
        said = sorted(self.said(axiom)[:300] for axiom in axioms)
        more = f"; and {len(said) - MAX_AXIOMS} more" if len(said) > MAX_AXIOMS else ""
        return "these clash: " + "; ".join(said[:MAX_AXIOMS]) + more


def _try_out(theory: bytes, rules: int, window: bytes) -> str:
    """What is wrong with the theory as agents use it; empty if nothing is."""
    pellet = Pellet()
    taken = pellet.load_theory(theory)
    if taken != rules:
        return f"Pellet takes {taken} of {rules} rules"
    try:
        pellet.infer(window, [], [], [])
    except Inconsistent as e:
        reasons = sorted({", ".join(re.split(r"[#/]", t)[-1] for t in p) for p in e.premises})
        return f"plain alerts contradict it: {'; '.join(reasons)[:500]}"
    return ""


def main(arguments: list[str]) -> None:
    """Print one JSON object a problem."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever Java prints must not fall among our lines
    confine_worker(read=map(Path, arguments))
    # A second of work, for which the optimising compiler would cost more than it gains.
    start_jvm(HEAP_MIB, "-XX:TieredStopAtLevel=1")
    api = _Api([Path(argument) for argument in arguments])
    for problem in api.profile():
        print(json.dumps({"code": "profile", **problem}), file=out)
    illogical = api.logic()
    for problem in illogical:
        print(json.dumps(problem), file=out)
    stdin = sys.stdin.buffer
    if (theory := frames.read(stdin)) and (window := frames.read(stdin)):
        wrong = _try_out(theory[1], theory[0]["rules"], window[1])
        if wrong and not illogical:
            print(json.dumps({"path": arguments[-1], "code": "pellet", "message": wrong}), file=out)
    print(json.dumps({"done": True}), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    # JPype's own shutdown can hang on attached threads; there is nothing left to save.
    os._exit(0)
