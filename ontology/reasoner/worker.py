"""``python -m ontology.reasoner.worker PARENT_PID HEAP_MIB [OPTION…]``: Pellet behind two pipes.

Frames (`ontology.frames`) come in on standard input and go out on standard output:

- ``{"op": "load"}`` + theory → ``{"ok": true, "rules": n, "unfiltered": why the prefilter is off}``
- ``{"op": "reason", "pairs": [IRI…], "classes": […], "values": […], "prefilter": bool}`` + window →
  ``{"ok": true, "terms": [premise…], "pairs": [[property, subject, object, [number…]]…],
  "members": …, "values": …, "took_us": n, "parts": windows that Pellet saw, "reached": alerts in
  them or null for all}``
- a window that contradicts the theory → ``{"ok": false, "error": "inconsistent", "premises": …}``
- anything that Java throws → ``{"ok": false, "error": "java", "message": …}``

The worker ends with its parent, whatever it is doing: at the end of standard input, or when the
parent's process is gone.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import Any

import jpype

from ontology import frames
from ontology.chainer.justify import Justifier
from ontology.chainer.prefilter import Part, Prefilter, Reduced
from ontology.confined_worker import confine_worker
from ontology.reasoner.pellet import Inconsistent, Pellet, start_jvm
from ontology.reasoner.premises import Term

_IDLE_MS = 200


def _die_with(parent: int) -> None:
    # A pidfd, not PR_SET_PDEATHSIG: that one fires when the *thread* that started us ends.
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(0)
    if os.getppid() != parent:
        os._exit(0)
    # poll, not select: a descriptor number above 1023 is legal here.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll()
    os._exit(0)


class _Service:
    """Theory and prefilter in force, and the answers."""

    def __init__(self) -> None:
        self._pellet = Pellet()
        self._prefilter = Prefilter(b"")
        self._justifier: Justifier | None = None
        self._doubt = ""
        """What the prefilter found wrong with the window."""

    def answer(self, head: dict[str, Any], body: bytes) -> dict[str, Any]:
        """The head of the frame that answers this one."""
        try:
            if head["op"] == "load":
                rules = self._pellet.load_theory(body)
                self._prefilter = Prefilter(body)
                chainer = self._prefilter.chainer
                self._justifier = Justifier(chainer) if chainer is not None else None
                return {"ok": True, "rules": rules, "unfiltered": self._prefilter.refused}
            return self._reason(head, body)
        except Inconsistent as e:
            return {"ok": False, "error": "inconsistent", "premises": e.premises}
        except (jpype.JException, SyntaxError) as e:
            # Of an ill-typed value Pellet may say no more than NullPointerException.
            message = f"{e} ({self._doubt})" if self._doubt else str(e)
            return {"ok": False, "error": "java", "message": message[:2000]}

    def _reason(self, head: dict[str, Any], body: bytes) -> dict[str, Any]:
        begin = time.perf_counter_ns()
        self._doubt = ""
        filtered = head.get("prefilter", True)
        reduced = (
            self._prefilter.reduce(body) if filtered else Reduced((Part(body),), 0, "asked for")
        )
        self._doubt = reduced.whole
        terms: list[Term] = []
        rows: dict[str, list[list[Any]]] = {"pairs": [], "members": [], "values": []}
        for part in reduced.parts:
            wanted = [
                [iri for iri in head[kind] if part.heads is None or iri in part.heads]
                for kind in ("pairs", "classes", "values")
            ]
            found = self._pellet.infer(part.ntriples, *wanted, rules=part.rules)
            for kind, conclusions in (
                ("pairs", found.pairs),
                ("members", found.members),
                ("values", found.values),
            ):
                for conclusion, why in conclusions:
                    needed = (
                        why
                        if self._justifier is None
                        else self._justifier.shrink(conclusion[:3], found.terms, why)
                    )
                    rows[kind].append([*conclusion, [len(terms) + number for number in needed]])
            terms += found.terms
        return rows | {
            "ok": True,
            "terms": terms,
            "took_us": (time.perf_counter_ns() - begin) // 1000,
            "parts": len(reduced.parts),
            "reached": None if reduced.whole else reduced.reached,
        }


def main(arguments: list[str]) -> None:
    """Serve frames until standard input ends."""
    parent, heap_mib = int(arguments[0]), int(arguments[1])
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    confine_worker()
    # Whatever Java prints must not fall between our frames.
    os.dup2(2, 1)
    start_jvm(heap_mib, *arguments[2:])
    service = _Service()
    idle = select.poll()
    idle.register(stdin.fileno(), select.POLLIN)
    runtime = jpype.JClass("java.lang.Runtime").getRuntime()
    while (frame := frames.read(stdin)) is not None:
        stdout.write(frames.encode(service.answer(*frame)))
        stdout.flush()
        # A full collection takes 50 ms: when nobody waits, so that few fall into an answer.
        used = runtime.totalMemory() - runtime.freeMemory()
        if used > runtime.maxMemory() * 2 // 5 and not idle.poll(_IDLE_MS):
            runtime.gc()


if __name__ == "__main__":
    main(sys.argv[1:])
    # JPype's own shutdown can hang on attached threads; there is nothing left to save.
    os._exit(0)
