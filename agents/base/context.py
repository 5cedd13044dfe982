"""Which agent a process runs, of which honeynet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.settings.honeynet import Settings
from ontology.records import Role


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """Which agent this is, and of which honeynet."""

    settings: Settings
    role: Role
    node: str

    @property
    def jid(self) -> str:
        """Bare JID."""
        return self.settings.jid(self.role, self.node)

    @property
    def state_dir(self) -> Path:
        """What this agent keeps on disk: its mail, and what its role stores."""
        return self.settings.state_dir / self.jid
