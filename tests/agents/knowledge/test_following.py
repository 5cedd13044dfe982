"""Who listens to which ontology agent."""

from __future__ import annotations

from pathlib import Path

from agents.knowledge.following import followers, ontology_agent_of
from agents.settings.honeynet import Node, Settings


def test_who_follows_whom(tmp_path: Path) -> None:
    """Its own node's ontology agent, or the first; and both sides agree about it."""
    settings = Settings.model_construct(
        domain="x",
        state_dir=tmp_path,
        node=tuple(
            Node.model_construct(name=name, agents=agents)
            for name, agents in (
                ("a", ("correlation", "analyzer")),
                ("b", ("correlation", "ontology")),
                ("c", ("correlation", "ontology", "analyzer")),
            )
        ),
    )
    assert [ontology_agent_of(settings, n) for n in "abc"] == [
        "ontology.b@x",
        "ontology.b@x",
        "ontology.c@x",
    ]
    assert followers(settings, "ontology.b@x", "correlation") == (
        "correlation.a@x",
        "correlation.b@x",
    )
    assert followers(settings, "ontology.c@x", "correlation") == ("correlation.c@x",)
    assert followers(settings, "ontology.b@x", "analyzer") == ("analyzer.a@x",)
    empty = settings.model_copy(update={"node": ()})
    assert ontology_agent_of(empty, "a") == ""
