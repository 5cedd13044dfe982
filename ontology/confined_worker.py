"""Processes that work on strangers' data for an agent and speak to it by pipes alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ontology import landlock, seccomp
from ontology.landlock import READ, WRITE, Allowed


def confine_worker(*, read: Iterable[Path] = (), write: Iterable[Path] = ()) -> None:
    """Keep the program and these files, and no network, no other file, no program to start.

    What the agent may open itself, its key and its mail, is out of reach as well. To be called
    before the first byte of strangers. Where the kernel lacks a part, the agent's log says so.

    Raises: OSError if the kernel refuses what it says it can do.
    """
    files = (*((path, READ) for path in read), *((path, WRITE) for path in write))
    landlock.confine(Allowed((*landlock.worker_program(), *files)))
    seccomp.refuse((*seccomp.EXECUTE, *seccomp.NETWORK), families=())
