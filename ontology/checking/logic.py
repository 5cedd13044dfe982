"""OWL 2 DL profile, consistency and satisfiability, with the axioms that clash."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ontology import frames
from ontology.checking.problem import Problem
from ontology.checking.wording import DISJOINT, MAX_SAID, say
from ontology.reasoner.window import warm_up_window
from ontology.theory import Theory

TIMEOUT_S = 60.0
BEFORE = "--before"
"""Behind it, `logic_worker` is given the files that were edited, as they were."""
TRIED_ALERTS = 20
"""Made-up alerts that the rules are tried on."""


class LogicUnavailable(RuntimeError):
    """The check itself failed; the message is one line."""


def check_logic(
    paths: Sequence[Path],
    theory: Theory | None = None,
    *,
    before: Sequence[Path] = (),
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Problem]:
    """Let the OWL API and Pellet look at the files. Takes 1 to 5 s.

    Args:
        paths: Imported ones first.
        theory: What agents make of them; also tried out on a window of made-up alerts.
        before: The files that were good: of axioms that clash, those that were not in them are to
            blame.
        timeout_s: A rule that feeds itself ends here.

    Raises: LogicUnavailable if Java does not answer in time or at all.
    """
    given = b""
    if theory is not None:
        given = frames.encode({"rules": len(theory.rules)}, theory.ntriples)
        given += frames.encode({}, warm_up_window(TRIED_ALERTS).ntriples)
    same = {path.read_bytes() for path in paths} if before else set()
    old = [path for path in before if path.read_bytes() not in same]
    command = [sys.executable, "-m", "ontology.checking.logic_worker", *map(str, paths)]
    command += [BEFORE, *map(str, old)] if old else []
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
        yield (
            _clash(line)
            if "axioms" in line
            else Problem(
                path=Path(line["path"]),
                code=line["code"],
                where=line.get("where", ""),
                message=line["message"],
            )
        )


def _clash(line: dict[str, Any]) -> Problem:
    """Axioms that can't all hold, in words; what was edited first, and its file is to blame."""
    axioms = sorted(
        line["axioms"], key=lambda a: (not a["new"], a["term"][0] in DISJOINT, a["term"])
    )
    path = Path(axioms[0]["file"] or line["path"]) if axioms else Path(line["path"])
    if not any(axiom["new"] for axiom in axioms):
        path = Path(line["path"])
    about = frozenset(t for a in axioms if a["term"][0] not in DISJOINT for t in a["term"][1:])
    said = [
        say(a["term"], about) + (f" ({Path(a['file']).name})" if a["file"] else "") for a in axioms
    ]
    more = f"; and {len(said) - MAX_SAID} more" if len(said) > MAX_SAID else ""
    can_not = "nothing can be one" if line["code"] == "unsatisfiable" else "these can't all hold"
    return Problem(
        path=path,
        code=line["code"],
        where=line.get("where", ""),
        message=f"{can_not}: {'; '.join(said[:MAX_SAID])}{more}",
    )
