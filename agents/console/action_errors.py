"""What an operator asked for and did not get, and why."""

from __future__ import annotations

from typing import Literal

from agents.base.conversations import RefusedByPeer

Kind = Literal["unknown", "ended", "refused", "unanswered", "supervisor silent"]


class ActionError(ValueError):
    """An action that was not done; ``kind`` says which HTTP status it is, the text why, in a line.

    ``unanswered`` is the ontology agent's silence, ``supervisor silent`` the supervisor's.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def kind_of(refusal: RefusedByPeer) -> Kind:
    """What the supervisor's answer means: a ``failure`` is the ontology agent's silence."""
    return "unanswered" if refusal.performative == "failure" else "refused"


SILENT = "the supervisor does not answer"
