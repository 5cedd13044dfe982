"""``python -m ontology.reasoner.class_cache ONTOLOGY RULES``: makes Java start faster.

Half of the start of a worker is Java reading and checking the classes of Pellet and of the OWL API.
A cache of them (JEP 483 and 515: loaded, linked, with the profiles of methods) spares that. Java
compares it with its own version and with the jars, and does without if it does not fit, or is not
there. It stands in the virtual environment, because whoever can write there can change the jars.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import jpype

from ontology.knowledge_base import enabled_ntriples, in_import_order, read_owl_file
from ontology.reasoner.pellet import Pellet, class_cache, start_jvm
from ontology.reasoner.window import warm_up_window
from ontology.theory import Theory

_TRAIN = "--train"
_TIMEOUT_S = 300.0
_WINDOWS = 3
_CLASSES_OF_CHECKS = (
    "org.semanticweb.owlapi.apibinding.OWLManager",
    "org.semanticweb.owlapi.profiles.OWL2DLProfile",
    "com.clarkparsia.pellet.owlapiv3.PelletReasonerFactory",
    "com.clarkparsia.owlapi.explanation.PelletExplanation",
)


def build(paths: Sequence[Path], cache: Path) -> str:
    """Make the cache anew with these files as a sample. Blocks for about 10 s.

    Returns what went wrong, in one line; empty if nothing did. One that was there stays until then,
    for those who have it mapped as well.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    new = cache.with_suffix(".new")
    new.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ontology.reasoner.class_cache", _TRAIN, str(new)]
    command += map(str, paths)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return " ".join(str(e).split())[:300]
    if not new.is_file():
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return (words or ["Java left no cache"])[-1][:300]
    new.replace(cache)
    return ""


def _train(cache: Path, paths: Sequence[Path]) -> None:
    """Use what workers use, and let Java write down what that was when it ends."""
    files = in_import_order([read_owl_file(path, number) for number, path in enumerate(paths)])
    theory = Theory.from_ntriples(enabled_ntriples(files))
    start_jvm(512, f"-XX:AOTCacheOutput={cache}", cached=False)
    pellet = Pellet()
    pellet.load_theory(theory.ntriples)
    rules = theory.rules
    wanted = [
        sorted({iri for rule in rules for iri in getattr(rule, kind)})
        for kind in ("pairs", "classes", "values")
    ]
    for _ in range(_WINDOWS):
        pellet.infer(warm_up_window().ntriples, *wanted)
    manager, profile, factory, explanation = map(jpype.JClass, _CLASSES_OF_CHECKS)
    explanation.setup()
    loaded = manager.createOWLOntologyManager()
    for file in files:
        document = jpype.JClass("java.io.File")(str(file.path))
        ontology = loaded.loadOntologyFromOntologyDocument(document)
        profile().checkOntology(ontology).getViolations()
    explanation(factory.getInstance().createReasoner(ontology))
    jpype.shutdownJVM()


def main(arguments: list[str]) -> int:
    """Make the cache, or say why not."""
    if arguments[:1] == [_TRAIN]:
        cache, *paths = map(Path, arguments[1:])
        _train(cache, paths)
        return 0
    wrong = build([Path(a) for a in arguments], class_cache())
    if wrong:
        sys.stderr.write(f"class cache: {wrong}\n")
    return bool(wrong)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # JPype's own shutdown can hang on attached threads.
    os._exit(code)
