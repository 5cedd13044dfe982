from __future__ import annotations

from pathlib import Path

from ontology.authoring.window_table import window_table
from ontology.knowledge_base import ontology_path, read_owl_file
from ontology.window_terms import HELD

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_docs_list_what_windows_hold() -> None:
    """After a change: ``ontoidps ontology terms``, into docs/protege.md."""
    table = window_table(read_owl_file(ontology_path()))
    assert len(table.splitlines()) == len(HELD) + 2
    assert f"\n{table}\n" in (DOCS / "protege.md").read_text(encoding="utf-8")
