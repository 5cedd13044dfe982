"""Rules tried at window size, within the time and memory that agents have for a window.

A worker of its own, set up as the agents' own are, gets the worst windows that can be made for
each rule (`trial_window`), and is killed at the limits. What counts is processor time: the limits
must mean the same on a busy machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pyoxigraph import NamedNode

from ontology.checking.problem import Problem
from ontology.checking.terms import Vocabulary
from ontology.checking.trial_window import HONEYPOT_ALERTS, joined_alerts, trial_window
from ontology.checking.wording import Wording
from ontology.knowledge_base import OwlFile
from ontology.reasoner.client import HEAP_MIB, QUICK, PelletWorker
from ontology.reasoner.inferences import (
    InconsistentWindow,
    ReasonerCrashed,
    ReasonerError,
    ReasonerTimeout,
)
from ontology.reasoner.window import Window
from ontology.swrl import CLASS, OBJECT, Atom, Rule, local_name, read_rules
from ontology.theory import Theory

WINDOW_ALERTS = 300
"""What agents reason about at once."""
SMALL_ALERTS = 12
"""In the window in which every rule is tried, of however common a shape it is."""
CPU_S = 12.0
"""Of processor, for one window, on the machine of `PACE_S`. Agents give it 5 s by the clock, but
their worker is warm, and they halve a window that is too much."""
TOTAL_CPU_S = 60.0
"""For all windows, as above. Rules that are left then are told, and not tried."""
PACE_S = 0.0075
"""What `_paced` takes where the shipped rules' worst window takes 4 s of processor."""
MOST_SLOW = 4.0
"""A machine slower than this is no excuse for a rule."""
WALL_S = 120.0
"""For one window, on a machine as busy as it may be."""
MAX_NAMED = 3
"""Rules that are named; each costs some seconds."""
_OF_ITS_OWN = ("inconsistent", "not-tried")
"""Codes of what no other rule is to blame for, and after which the worker goes on or is started."""
_LOOK_EVERY_S = 0.02
_MIB = 1 << 20

_CHARACTERISTICS = frozenset(("TransitiveProperty", "SymmetricProperty", "ReflexiveProperty"))

Tried = Sequence[tuple[OwlFile, Rule]]


def slowness() -> float:
    """How many times as long as where the limits were set a piece of work takes here; 1 to
    `MOST_SLOW`. Takes 0.1 s."""
    return min(MOST_SLOW, max(1.0, min(_paced() for _ in range(3)) / PACE_S))


def _paced() -> float:
    """Seconds of processor of a thread for work like a reasoner's: small objects and look-ups."""
    begin = time.thread_time()
    found: dict[str, list[int]] = {}
    for number in range(40_000):
        found.setdefault(f"{number * 7919 % 4001}", []).append(number)
    total = sum(len(rows) * rows[-1] for rows in found.values())
    return time.thread_time() - begin if total else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one window."""

    error: ReasonerError | None
    cpu_s: float
    rss_mib: int
    """The most that the worker was seen to use, Java and all."""
    over_time: bool = False

    @property
    def over_memory(self) -> bool:
        return isinstance(self.error, ReasonerCrashed) and "out of memory" in str(self.error)

    @property
    def too_dear(self) -> bool:
        return self.over_time or self.over_memory


class Trial:
    """A worker for trials. Blocks; started when it is first needed. Use as a context manager."""

    def __init__(self, *, cpu_s: float = CPU_S) -> None:
        slow = slowness()
        self.cpu_s = cpu_s * slow
        """For one window: the same rule must pass on a slow machine as on a fast one."""
        self.total_cpu_s = TOTAL_CPU_S * slow
        self._worker: PelletWorker | None = None
        self.spent_s = 0.0
        """Of processor, for all windows."""

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._worker is not None:
            self._worker.close()

    def use(self, theory: Theory) -> None:
        """Try what follows with these rules.

        Raises: ReasonerUnavailable if the worker can't be started, or Pellet refuses the rules.
        """
        if self._worker is None:
            self._worker = PelletWorker(theory, options=(QUICK,))
        self._worker.set_theory(theory, plain=False)
        # No plain window first: a bad rule may be too much for one, and has limits here.
        self._worker.start(rounds=0)

    def run(self, window: Window) -> Outcome:
        """One window, after `use`. Raises: ReasonerUnavailable."""
        worker = self._worker
        assert worker is not None  # noqa: S101
        if worker.pid is None:
            self.use(worker.theory)
        assert worker.pid is not None  # noqa: S101
        watch = _Watch(worker.pid, self.cpu_s)
        error: ReasonerError | None = None
        with watch:
            try:
                worker.reason(window, WALL_S)
            except ReasonerError as e:
                error = e
        self.spent_s += watch.cpu_s
        return Outcome(error, watch.cpu_s, watch.rss_mib, watch.killed)


def changed_rules(
    files: Sequence[OwlFile], before: Sequence[OwlFile], vocabulary: Vocabulary
) -> Tried:
    """Rules that are switched on and were not there before in the same words, and those that
    speak of properties of which something else is said now."""
    known = {_text(rule) for file in before for rule in read_rules(file.triples) if rule.enabled}
    terms = _property_axioms(files) ^ _property_axioms(before)
    touched = {iri for axiom in terms for iri in axiom}

    def reads_touched(rule: Rule) -> bool:
        atoms = (a for a in (*rule.body, *rule.head) if a.kind == OBJECT)
        return any(touched & vocabulary.above(atom.iri) for atom in atoms)

    return [
        (file, rule)
        for file in files
        for rule in read_rules(file.triples)
        if rule.enabled and (_text(rule) not in known or reads_touched(rule))
    ]


def _text(rule: Rule) -> tuple[str, ...]:
    """Its words, in whatever order an editor has put the atoms: `Theory` puts them in the order of
    joins, and what is left of the editor's cost nothing that could be measured."""
    body, head = (" ".join(sorted(map(str, atoms))) for atoms in (rule.body, rule.head))
    return rule.label, body, head


def _property_axioms(files: Sequence[OwlFile]) -> set[tuple[str, ...]]:
    """Those from which more pairs follow, by the names of what they say it of."""
    found: set[tuple[str, ...]] = set()
    for triple in (t for file in files for t in file.triples):
        subject, value = triple.subject, getattr(triple.object, "value", "")
        name = local_name(triple.predicate.value)
        if not isinstance(subject, NamedNode):
            continue
        if name in ("inverseOf", "equivalentProperty"):
            found.add((subject.value, value))
        elif (
            name in ("subPropertyOf", "propertyChainAxiom") or local_name(value) in _CHARACTERISTICS
        ):
            found.add((subject.value,))
    return found


class _Watch:
    """Kills a process that uses more processor than it may."""

    def __init__(self, pid: int, cpu_s: float) -> None:
        self._pid = pid
        self._limit = cpu_s
        self._begin = self._used()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="rule trial", daemon=True)
        self.cpu_s = 0.0
        self.rss_mib = 0
        self.killed = False

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._note()

    def _used(self) -> float:
        """Seconds of processor. Raises: OSError, IndexError if the process is gone."""
        # proc_pid_stat(5): user and system time are the 12th and 13th field behind the name.
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _note(self) -> None:
        with contextlib.suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
            self.rss_mib = max(self.rss_mib, pages * os.sysconf("SC_PAGE_SIZE") // _MIB)
            self.cpu_s = max(self.cpu_s, self._used() - self._begin)

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            self._note()
            if self.cpu_s > self._limit:
                self.killed = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                return


def try_rules(
    trial: Trial,
    tried: Tried,
    vocabulary: Vocabulary,
    wording: Wording,
    theory_without: Callable[[Collection[str]], Theory],
) -> Iterator[Problem]:
    """What is wrong with new rules, with all rules in force and, where that goes wrong, alone.

    Args:
        tried: new and changed rules that are switched on.
        theory_without: everything but the rules of these labels.

    Raises: ReasonerUnavailable if the worker can't be started, or Pellet refuses the theory.
    """
    # Those that join most first: they are the likeliest to go wrong.
    order = sorted(tried, key=lambda one: -joined_alerts(one[1], vocabulary))
    labels = {rule.label for _, rule in order}
    trial.use(theory_without(()))
    shapes: set[str] = set()
    doubt: Problem | None = None
    for number, (file, rule) in enumerate(order):
        if trial.spent_s > trial.total_cpu_s:
            yield _left_out(order[number:], trial)
            break
        size = SMALL_ALERTS if (shape := _shape(rule)) in shapes else WINDOW_ALERTS
        shapes.add(shape)
        problem = _try(trial, file, rule, vocabulary, wording, size)
        if problem is None:
            continue
        if problem.code in _OF_ITS_OWN or len(order) == 1:
            yield problem
        else:
            doubt = problem
            break
    named = 0
    # A window made for one rule may have failed because of another one.
    for file, rule in order if doubt is not None else ():
        if trial.spent_s > trial.total_cpu_s or named == MAX_NAMED:
            break
        trial.use(theory_without(labels - {rule.label}))
        problem = _try(trial, file, rule, vocabulary, wording)
        if problem is not None and problem.code not in _OF_ITS_OWN:
            named += 1
            yield problem
    if doubt is not None and not named:
        yield doubt


def _shape(rule: Rule) -> str:
    """What its cost depends on: the joins, not the names of classes and conclusions."""
    numbers: dict[object, int] = {}

    def said(atoms: Sequence[Atom]) -> str:
        return " ".join(
            f"{a.kind}{'' if a.kind == CLASS else a.iri}"
            f"({','.join(str(numbers.setdefault(x, len(numbers))) for x in a.arguments)})"
            for a in atoms
        )

    body = said(rule.body)
    heads = " ".join(f"{a.kind}{[numbers.get(x) for x in a.arguments]}" for a in rule.head)
    feeds = {a.iri for a in rule.head} & {a.iri for a in rule.body}
    return f"{body} -> {heads} {sorted(feeds)}"


def _try(
    trial: Trial,
    file: OwlFile,
    rule: Rule,
    vocabulary: Vocabulary,
    wording: Wording,
    alerts: int = WINDOW_ALERTS,
) -> Problem | None:
    window = trial_window(rule, vocabulary, alerts)
    outcome = trial.run(window)
    error = outcome.error
    if error is None:
        return None
    if isinstance(error, InconsistentWindow):
        return wording.contradiction(file, rule, error.premises)
    where, level, code = f"rule {rule.label!r}", "error", "too-dear"
    joined = joined_alerts(rule, vocabulary)
    what = f"{joined} alerts joined" if joined > 1 else "alerts"
    tried = f"{what}: {window.alerts} of them, {HONEYPOT_ALERTS} at one honeypot,"
    if outcome.too_dear:
        message = (
            f"{tried} need {_needs(outcome)} (limits: {trial.cpu_s:.0f} s of processor, "
            f"{HEAP_MIB} MiB of Java heap). Agents would fail on them; join fewer alerts, or by "
            "source and target"
        )
    elif isinstance(error, ReasonerTimeout):
        level, code = "warning", "not-tried"
        message = f"{tried} got no answer in {WALL_S:g} s: the machine is too busy to try the rule"
    else:
        code, message = "rule-fails", f"Pellet fails on plain alerts: {_without_notes(error)}"
    return _problem(file, code, where, message, level=level)


def _needs(outcome: Outcome) -> str:
    if outcome.over_time:
        return f"more than {outcome.cpu_s:.1f} s of processor and {outcome.rss_mib} MiB"
    return f"more than {HEAP_MIB} MiB of Java heap, after {outcome.cpu_s:.1f} s of processor"


def _without_notes(error: ReasonerError) -> str:
    return str(error).removeprefix("Pellet failed: ").partition(" (rule ")[0]


def _left_out(rules: Tried, trial: Trial) -> Problem:
    names = ", ".join(repr(rule.label) for _, rule in rules[:5])
    return Problem(
        path=rules[0][0].path,
        code="not-tried",
        where="",
        message=f"{len(rules)} rules were not tried at window size, the others took "
        f"{trial.spent_s:.0f} s of processor: {names}",
        level="warning",
    )


def _problem(file: OwlFile, code: str, where: str, message: str, **more: str) -> Problem:
    return Problem(path=file.path, code=code, where=where, message=message, **more)  # type: ignore[arg-type]
