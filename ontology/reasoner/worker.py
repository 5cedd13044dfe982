"""``python -m ontology.reasoner.worker PARENT_PID HEAP_MIB``: Pellet behind two pipes.

Frames (`ontology.reasoner.frames`) come in on standard input and go out on standard output:

- ``{"op": "load"}`` + theory → ``{"ok": true, "rules": n}``
- ``{"op": "reason", "pairs": [IRI…], "classes": […], "values": […]}`` + window → ``{"ok": true,
  "pairs": [[property, subject, object, premises]…], "members": …, "values": …, "took_us": n}``
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

from ontology.reasoner import frames
from ontology.reasoner.pellet import Inconsistent, Pellet, start_jvm


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


def _answer(pellet: Pellet, head: dict[str, Any], body: bytes) -> dict[str, Any]:
    begin = time.perf_counter_ns()
    try:
        if head["op"] == "load":
            return {"ok": True, "rules": pellet.load_theory(body)}
        found = pellet.infer(body, head["pairs"], head["classes"], head["values"])
    except Inconsistent as e:
        return {"ok": False, "error": "inconsistent", "premises": e.premises}
    except jpype.JException as e:
        return {"ok": False, "error": "java", "message": str(e)[:2000]}
    return {"ok": True, "took_us": (time.perf_counter_ns() - begin) // 1000, **found}


def main(arguments: list[str]) -> None:
    """Serve frames until standard input ends."""
    parent, heap_mib = int(arguments[0]), int(arguments[1])
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    # Whatever Java prints must not fall between our frames.
    os.dup2(2, 1)
    start_jvm(heap_mib)
    pellet = Pellet()
    runtime = jpype.JClass("java.lang.Runtime").getRuntime()
    while (frame := frames.read(stdin)) is not None:
        stdout.write(frames.encode(_answer(pellet, *frame)))
        stdout.flush()
        # Collect between answers, so that no collection falls into one.
        if runtime.totalMemory() - runtime.freeMemory() > runtime.maxMemory() // 3:
            runtime.gc()


if __name__ == "__main__":
    main(sys.argv[1:])
    # JPype's own shutdown can hang on attached threads; there is nothing left to save.
    os._exit(0)
