"""OWL 2 DL profile, consistency and satisfiability, with the axioms that clash."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ontology import frames
from ontology.checking.problem import Problem
from ontology.reasoner.window import warm_up_window
from ontology.theory import Theory

TIMEOUT_S = 60.0
TRIED_ALERTS = 20
"""Made-up alerts that the rules are tried on."""


class LogicUnavailable(RuntimeError):
    """The check itself failed; the message is one line."""


def check_logic(
    paths: Sequence[Path], theory: Theory | None = None, *, timeout_s: float = TIMEOUT_S
) -> Iterator[Problem]:
    """Let the OWL API and Pellet look at the files. Takes 1 to 5 s.

    Args:
        paths: Imported ones first.
        theory: What agents make of them; also tried out on a window of made-up alerts.
        timeout_s: A rule that feeds itself ends here.

    Raises: LogicUnavailable if Java does not answer in time or at all.
    """
    given = b""
    if theory is not None:
        given = frames.encode({"rules": len(theory.rules)}, theory.ntriples)
        given += frames.encode({}, warm_up_window(TRIED_ALERTS).ntriples)
    command = [sys.executable, "-m", "ontology.checking.logic_worker", *map(str, paths)]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise LogicUnavailable(f"Pellet did not finish within {timeout_s:.0f} s") from e
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    if not lines or "done" not in lines[-1]:
        words = done.stderr.decode("utf-8", "replace").splitlines()
        reason = next((s for s in reversed(words) if s.strip()), "no answer")
        raise LogicUnavailable(f"the OWL API could not read the files: {reason.strip()[:300]}")
    for line in lines[:-1]:
        yield Problem(
            path=Path(line["path"]),
            code=line["code"],
            where=line.get("where", ""),
            message=line["message"],
        )
