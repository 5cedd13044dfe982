"""SPARQL questions to the archive, each answered by a child process that can be killed.

pyoxigraph can neither be interrupted nor be told not to follow SERVICE over the network. So a
question with that word is refused; the child may open no socket once it looks at the question
(`ontology.seccomp`); and it reads a snapshot, so that no question can change or lock the
archive.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from agents.ontology.archive import Archive

MAX_QUERY: Final = 10_000
"""Longest question, in characters."""
MAX_ROWS: Final = 1000
MAX_COST: Final = 150_000
"""Longest answer, as `json_cost` counts: it must still fit into a message."""
TIMEOUT_S: Final = 5.0
"""For the question itself, …"""
START_S: Final = 60.0
"""… and until the process looks at it: no question's fault on a busy machine."""

# The grammar wants no blank before a keyword (``1SERVICE`` is two tokens), so any place counts that
# is not a variable or the local part of a name.
_SERVICE = re.compile(r"(?<![:?$])(?<!:affected)service", re.IGNORECASE)
_PREFIX = "query-"


class QueryRefused(ValueError):
    """The question can't be answered; the message is one line saying why."""


def check_query(sparql: str) -> None:
    """Refuse what must not even be parsed.

    Raises:
        QueryRefused: too long, or it could reach the network.
    """
    if len(sparql) > MAX_QUERY:
        raise QueryRefused(f"query of {len(sparql)} characters, at most {MAX_QUERY}")
    if _SERVICE.search(sparql):
        raise QueryRefused("SERVICE is refused: queries never leave the archive")
    if re.search(r"\\[uU]", sparql):
        # SPARQL 1.1 19.2 lets escapes spell keywords.
        raise QueryRefused("\\u escapes are refused: write the character itself")


class QueryRunner:
    """Answers one question at a time.

    Args:
        archive: What is asked.
        scratch: Folder for snapshots, on the archive's file system; leftovers in it are removed.
    """

    def __init__(
        self,
        archive: Archive,
        scratch: Path,
        *,
        timeout_s: float = TIMEOUT_S,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._archive = archive
        self._scratch = scratch
        self._timeout_s = timeout_s
        self._max_rows = max_rows
        self._lock = threading.Lock()
        for left in scratch.glob(_PREFIX + "*"):
            shutil.rmtree(left, ignore_errors=True)

    def run(self, sparql: str) -> tuple[str, bool]:
        """SPARQL 1.1 results in JSON, and whether rows are missing. Blocks up to the time limit.

        The ``graph`` of CONSTRUCT and DESCRIBE is N-Triples.

        Raises:
            QueryRefused: no question, not SPARQL, or too expensive.
            ArchiveError: the archive can't be read.
        """
        check_query(sparql)
        with (
            self._lock,
            tempfile.TemporaryDirectory(prefix=_PREFIX, dir=self._scratch) as folder,
        ):
            snapshot = Path(folder) / "snapshot"
            self._archive.snapshot(snapshot)
            return self._ask(snapshot, sparql)

    def _ask(self, snapshot: Path, sparql: str) -> tuple[str, bool]:
        question = {
            "path": str(snapshot),
            "sparql": sparql,
            "rows": self._max_rows,
            "cost": MAX_COST,
            "cpu_s": int(self._timeout_s) + 1,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "agents.ontology.query_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                _await_start(process, question)
                said, _ = process.communicate(timeout=self._timeout_s)
            except subprocess.TimeoutExpired as e:
                raise QueryRefused(f"query took longer than {e.timeout:g} s") from e
            finally:
                process.kill()
        try:
            answer = json.loads(said)
        except ValueError as e:
            # Out of memory or processor time: the kernel ended it.
            raise QueryRefused(f"query failed (exit code {process.returncode})") from e
        if "error" in answer:
            raise QueryRefused(str(answer["error"]))
        return str(answer["results"]), bool(answer["truncated"])


def _await_start(process: subprocess.Popen[bytes], question: dict[str, object]) -> None:
    """Ask, and wait for the blank that says that the question is looked at, or for the end.

    Raises:
        QueryRefused: neither came.
    """
    asked, said = process.stdin, process.stdout
    if asked is None or said is None:
        raise ValueError("no pipes to the process")
    # Unescaped, so that the longest fits into a pipe (64 KiB) of which nobody reads yet.
    text = json.dumps(question, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with contextlib.suppress(BrokenPipeError), asked:
        asked.write(text)
    # `communicate` would flush it.
    process.stdin = None
    # Not select(2): an agent may have more than 1,024 descriptors.
    poll = select.poll()
    poll.register(said, select.POLLIN)
    if not poll.poll(START_S * 1000):
        raise QueryRefused(f"not asked: its process did not start within {START_S:g} s")
    os.read(said.fileno(), 1)
