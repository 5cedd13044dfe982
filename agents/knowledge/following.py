"""Which ontology agent an agent listens to, where there are several; both sides agree about it."""

from __future__ import annotations

from agents.settings.honeynet import Settings


def ontology_agent_of(settings: Settings, node: str) -> str:
    """Bare JID of the ontology agent that agents of a node follow: the one of that node, or the
    first. Empty if there is none."""
    every = settings.jids("ontology")
    own = settings.jid("ontology", node)
    return own if own in every else next(iter(every), "")


def followers(settings: Settings, ontology: str, role: str) -> tuple[str, ...]:
    """Bare JIDs of the agents of a role that follow this ontology agent."""
    return tuple(
        settings.jid(role, node)
        for found, node in settings.agents()
        if found == role and ontology_agent_of(settings, node) == ontology
    )
