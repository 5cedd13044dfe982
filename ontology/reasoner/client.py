"""`PelletWorker`: starts, feeds, watches and, where it must, kills the Pellet process.

Blocking and thread-safe (calls queue up behind a lock): an agent calls it through
``asyncio.to_thread``. Killing the process is the only sure stop of a runaway rule: Pellet looks at
its own timer only between two passes over the rules.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

from ontology import frames
from ontology.reasoner.answers import as_fact, read_answer
from ontology.reasoner.inferences import (
    InconsistentWindow,
    Inferences,
    ReasonerCrashed,
    ReasonerTimeout,
    ReasonerUnavailable,
)
from ontology.reasoner.window import Window, warm_up_window
from ontology.theory import Theory

logger = logging.getLogger(__name__)

HEAP_MIB = 192
"""Java heap; the whole process then stays below 400 MiB for windows of up to 300 alerts."""
QUICK = "-XX:TieredStopAtLevel=1"
"""Option of a JVM that lives for seconds: its second compiler costs more than it gains there."""
START_TIMEOUT_S = 60.0
PLAIN_TIMEOUT_S = 20.0
"""For 60 plain alerts with other rules, 0.3 s on a quiet machine."""
WARM_UP_ROUNDS = 4
"""The first answers of a new JVM take 0.6 to 0.9 s, the fifth about 0.1 s. After a crash one round
has to do: windows wait."""
_STDERR_LINES = 20
_STDERR_LIMIT = 200
"""Lines of the worker's standard error that are logged in its life; the rest is only counted."""
_OUT_OF_MEMORY = 3
"""Exit code of -XX:+ExitOnOutOfMemoryError."""


class PelletWorker:
    """A warm Pellet in a process of its own. Implements `Reasoner`.

    Args:
        theory: ontology and rules; `set_theory` replaces them.
        heap_mib: Java heap of the worker in MiB.
        prefilter: Pellet sees only what can take part in a rule (`ontology.chainer.prefilter`).
        options: more of the JVM's.
    """

    def __init__(
        self,
        theory: Theory,
        *,
        heap_mib: int = HEAP_MIB,
        prefilter: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        self._options = tuple(options)
        self._theory = theory
        self._prefilter = prefilter
        self._heap_mib = heap_mib
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._drain: threading.Thread | None = None
        self._closed = False
        self.counters: Counter[str] = Counter()
        """``windows starts timeouts crashes inconsistent stderr_lines``; of windows answered,
        ``window_alerts`` in them, ``alerts_reached`` that Pellet saw, ``parts`` that it saw them
        in, ``whole_windows`` that the prefilter left alone."""

    def __enter__(self) -> PelletWorker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the running worker."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def theory(self) -> Theory:
        """What the worker reasons with."""
        return self._theory

    def start(self, *, rounds: int = WARM_UP_ROUNDS) -> None:
        """Start and warm up the worker, unless it runs; takes 2 to 6 s.

        Args:
            rounds: windows to warm up with; `warm_up` makes up for fewer. With 0 no plain window is
                tried, only whether the rules contradict each other.

        Raises: ReasonerUnavailable if it does not come up or refuses the theory.
        """
        self._closed = False
        with self._lock:
            self._ensure(rounds)

    def warm_up(self) -> None:
        """One more window to warm up with, so that real ones may go in between.

        Raises: ReasonerUnavailable.
        """
        with self._lock:
            self._ensure()
            self._warm_up(1)

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        """Infer from one window; a worker that is not running is started first.

        Raises: ReasonerTimeout after ``timeout_s`` (the start is not counted), ReasonerCrashed,
            ReasonerUnavailable, InconsistentWindow. After any of them the next call works.
        """
        with self._lock:
            self._ensure()
            return self._reason(window, timeout_s)

    def set_theory(self, theory: Theory, *, plain: bool = True) -> None:
        """Reason with other rules from the next window on.

        Args:
            plain: try a plain window first.

        Raises: ReasonerUnavailable if Pellet refuses them, fails on a plain window with them, or
            they contradict each other: with such no window is sound. The old ones then stay.
        """
        with self._lock:
            old, self._theory = self._theory, theory
            if self.pid is None:
                return
            try:
                self._load()
                self._check_consistent()
                if plain:
                    self._warm_up(1, PLAIN_TIMEOUT_S)
            except (ReasonerUnavailable, ReasonerTimeout, ReasonerCrashed) as e:
                self._theory = old
                try:
                    if self.pid is not None:
                        self._load()  # it goes on with the old ones at once
                except ReasonerUnavailable:
                    self._kill()
                raise ReasonerUnavailable(str(e)) from e

    def _check_consistent(self) -> None:
        nothing = {"op": "reason", "pairs": [], "classes": [], "values": [], "prefilter": False}
        head = self._call(nothing, b"", START_TIMEOUT_S)
        if not head["ok"]:
            reasons = "; ".join(" ".join(premise) for premise in head.get("premises", ())[:10])
            raise ReasonerUnavailable(f"Pellet: {head['error']}: {head.get('message', reasons)}")

    def close(self) -> None:
        """End the worker, also under a call that waits for it; only `start` starts it again."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._kill()

    def _ensure(self, rounds: int = 1) -> None:
        if self._closed:
            raise ReasonerUnavailable("the worker was closed")
        if self.pid is not None:
            return
        if self._process is not None:
            self.counters["crashes"] += 1
            logger.warning("reasoner: the worker died while idle (%s)", self._last_words())
        self._kill()
        self._spawn()
        try:
            self._load()
            if rounds:
                self._warm_up(rounds if self.counters["starts"] == 1 else 1)
            else:
                self._check_consistent()
        except ReasonerUnavailable:
            self._kill()
            raise

    def _warm_up(self, rounds: int, timeout_s: float = START_TIMEOUT_S) -> None:
        warm_up = warm_up_window()
        for _ in range(rounds):
            try:
                self._reason(warm_up, timeout_s)
            except (ReasonerTimeout, ReasonerCrashed) as e:
                raise ReasonerUnavailable(f"the worker fails on a plain window: {e}") from e
            except InconsistentWindow:
                # The rules contradict our made-up facts; real windows may still be sound.
                break

    def _spawn(self) -> None:
        environment = {
            key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "TMPDIR")
        }
        # Threads we don't use would each keep an arena of their own.
        environment |= {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-m",
                    "ontology.reasoner.worker",
                    str(os.getpid()),
                    str(self._heap_mib),
                    *self._options,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                # Ctrl-C in the terminal is for the launcher, which stops things in order.
                # Not a session: its priority would begin at 0, whatever ours is (sched(7)).
                process_group=0,
            )
        except OSError as e:
            raise ReasonerUnavailable(f"the worker can't be started: {e}") from e
        self.counters["starts"] += 1
        self._process = process
        assert process.stdin is not None and process.stdout is not None  # noqa: S101
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        self._stderr.clear()
        self._drain = threading.Thread(
            target=self._drain_stderr, args=(process.stderr,), name="pellet-stderr", daemon=True
        )
        self._drain.start()

    def _drain_stderr(self, stream: IO[bytes]) -> None:
        logged = 0
        while line := stream.readline(1000):
            text = line.decode("utf-8", "replace").rstrip()
            self.counters["stderr_lines"] += 1
            self._stderr.append(text)
            if logged < _STDERR_LIMIT:
                logged += 1
                logger.debug("reasoner says %r", text)

    def _load(self) -> None:
        try:
            head = self._call({"op": "load"}, self._theory.ntriples, START_TIMEOUT_S)
        except (ReasonerTimeout, ReasonerCrashed) as e:
            raise ReasonerUnavailable(f"the worker does not come up: {e}") from e
        if not head["ok"]:
            raise ReasonerUnavailable(f"Pellet refuses the ontology: {head.get('message')}")
        if head["rules"] != len(self._theory.rules):
            raise ReasonerUnavailable(
                f"Pellet took {head['rules']} of {len(self._theory.rules)} rules"
            )
        if head["unfiltered"]:
            logger.warning("reasoner: every alert goes to Pellet: %s", head["unfiltered"])

    def _reason(self, window: Window, timeout_s: float) -> Inferences:
        rules = self._theory.rules
        question = {
            "op": "reason",
            "pairs": sorted({iri for rule in rules for iri in rule.pairs}),
            "classes": sorted({iri for rule in rules for iri in rule.classes}),
            "values": sorted({iri for rule in rules for iri in rule.values}),
            "prefilter": self._prefilter,
        }
        head = self._call(question, window.ntriples, timeout_s)
        self.counters["windows"] += 1
        if head["ok"]:
            self._count(window, head)
            return read_answer(head, rules)
        if head["error"] == "inconsistent":
            self.counters["inconsistent"] += 1
            facts = tuple(fact for term in head["premises"] if (fact := as_fact(term)) is not None)
            reasons = "; ".join(f"{f.kind}({', '.join(f.arguments)})" for f in facts[:10])
            premises = tuple(map(tuple, head["premises"]))
            said = f"the window contradicts the ontology: {reasons}"
            raise InconsistentWindow(said, facts, premises)
        self.counters["crashes"] += 1
        raise ReasonerCrashed(f"Pellet failed: {head['message']}")

    def _count(self, window: Window, head: dict[str, Any]) -> None:
        whole = head["reached"] is None
        self.counters["window_alerts"] += window.alerts
        self.counters["alerts_reached"] += window.alerts if whole else head["reached"]
        self.counters["parts"] += head["parts"]
        self.counters["whole_windows"] += whole

    def _call(self, head: dict[str, Any], body: bytes, timeout_s: float) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        try:
            self._write(frames.encode(head, body), end)
            prefix = self._read(frames.PREFIX.size, end)
            answer, _ = frames.decode(self._read(frames.frame_length(prefix), end))
        except TimeoutError as e:
            self.counters["timeouts"] += 1
            self._kill()
            raise ReasonerTimeout(f"no answer in {timeout_s:g} s; the worker was killed") from e
        except (EOFError, BrokenPipeError) as e:
            words = self._last_words()
            self.counters["crashes"] += 1
            self._kill()
            raise ReasonerCrashed(f"the worker died ({words})") from e
        except frames.FrameError as e:
            self.counters["crashes"] += 1
            self._kill()
            raise ReasonerCrashed(f"the worker and we don't understand each other: {e}") from e
        return answer

    def _write(self, data: bytes, end: float) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101
        descriptor = self._process.stdin.fileno()
        view = memoryview(data)
        while view:
            _wait(descriptor, select.POLLOUT, end)
            view = view[os.write(descriptor, view) :]

    def _read(self, count: int, end: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101
        descriptor = self._process.stdout.fileno()
        parts: list[bytes] = []
        while count:
            _wait(descriptor, select.POLLIN, end)
            part = os.read(descriptor, min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if self._drain is not None:
            # Its pipe has no writer left, so this ends at once.
            self._drain.join(timeout=5.0)
            self._drain = None
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _last_words(self) -> str:
        assert self._process is not None  # noqa: S101
        try:
            code = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "its pipe is closed"
        if self._drain is not None:
            self._drain.join(timeout=5.0)
        if code == _OUT_OF_MEMORY:
            return "exit code 3: out of memory"
        words = " / ".join(list(self._stderr)[-3:])
        return f"exit code {code}" + (f": {words[:500]}" if words else "")


def _wait(descriptor: int, event: int, end: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    left = end - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
