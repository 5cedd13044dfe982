"""What a replay gave its reasoner, gathered into one window that can be written to a file."""

from __future__ import annotations

from pathlib import Path

from agents.correlation.reasoning import Answer, Submit
from agents.knowledge.load import paper_rules
from agents.settings.honeynet import Policy
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.window import Window
from ontology.reasoner.window_file import MAX_ALERTS, WindowFileError, write_window
from ontology.vocabulary import IDPS
from ontology.whole_files import write_whole
from rules.shipped_files import rule_paths

_IS_ALERT = f"> <{IDPS.Alert}> .".encode()


class WindowRecord:
    """All facts of all windows, the last word on each individual.

    An alert that has grown is in a window again: two ends of one alert would be a contradiction.
    Once there are more alerts than go into a file, nothing more is kept, and `write` says so.
    """

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._facts: dict[bytes, list[bytes]] = {}
        self._alerts: set[bytes] = set()

    def submit(self, window: Window, timeout_s: float) -> Answer:
        """Hands it on."""
        if len(self._alerts) <= MAX_ALERTS:
            found: dict[bytes, list[bytes]] = {}
            for line in window.ntriples.splitlines(keepends=True):
                subject = line.partition(b" ")[0]
                found.setdefault(subject, []).append(line)
                if line.rstrip().endswith(_IS_ALERT):
                    self._alerts.add(subject)
            self._facts |= found
        return self._submit(window, timeout_s)

    @property
    def window(self) -> Window:
        """Everything as one window."""
        lines = sorted(line for lines in self._facts.values() for line in lines)
        return Window(b"".join(lines), len(self._alerts))

    def write(self, path: Path, policy: Policy, title: str) -> int:
        """Write it with ontology and rules; returns the number of alerts.

        Raises: WindowFileError (a ValueError) if there are none, or too many; OSError.
        """
        window = self.window
        if not window.alerts:
            raise WindowFileError("no alert that a rule could use: there is nothing to write")
        with KnowledgeBase([ontology_path(), *rule_paths(), *paper_rules(policy)]) as knowledge:
            write_whole(path, write_window(knowledge.ntriples(), window, title=title))
        return window.alerts
