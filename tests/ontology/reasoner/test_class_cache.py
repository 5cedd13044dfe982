"""Java starts from the cache that the set-up made, and without it where there is none that fits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agents.knowledge.load import load_theory
from ontology.reasoner.class_cache import build
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.pellet import class_cache

pytestmark = pytest.mark.slow

START = """
import sys
from pathlib import Path
from ontology.reasoner import pellet
pellet.class_cache = lambda: Path(sys.argv[1])
pellet.start_jvm(192)
print(pellet.Pellet().load_theory(sys.stdin.buffer.read()), flush=True)
import os
os._exit(0)
"""


def test_a_worker_uses_the_cache_that_the_set_up_made() -> None:
    assert class_cache().is_file(), "deploy/setup.sh has not made it"
    with PelletWorker(load_theory()) as worker:
        maps = Path(f"/proc/{worker.pid}/maps").read_text(encoding="utf-8")
    assert str(class_cache()) in maps


def test_one_that_does_not_fit_is_no_fault_and_java_says_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "pellet.aot"
    cache.write_bytes(class_cache().read_bytes()[: 1 << 20])
    theory = load_theory()
    command = [sys.executable, "-c", START, cache]
    done = subprocess.run(
        command, input=theory.ntriples, capture_output=True, timeout=60, check=True
    )
    assert done.stdout.split() == [str(len(theory.rules)).encode()]
    assert done.stderr == b""


def test_one_that_cannot_be_made_is_told_in_a_line_and_none_is_left(tmp_path: Path) -> None:
    cache = tmp_path / "folder" / "pellet.aot"
    wrong = build([tmp_path / "none.owl"], cache)
    assert "none.owl" in wrong and "No such file" in wrong
    assert not cache.exists()
