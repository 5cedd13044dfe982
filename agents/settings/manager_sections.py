"""What ``honeynet.toml`` says of managers of others, whose alerts we take in (docs/idmef.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from agents.idmef.foreign_reports import Origin
from agents.settings.fields import Flag, Name, Part, Whole


class Manager(Part):
    """Somebody who sends us alerts, and what their word is worth."""

    name: Name
    key_file: Path | None = None
    """The key that it shows at ``POST /api/v1/idmef``; without one it can't send there, and is for
    inputs alone."""
    trust: float = Field(default=0.5, ge=0, le=1)
    """Every confidence of its alerts is multiplied by it."""
    verified: Flag = False
    """True: the operator vouches that sources it names are not forged, so that its word alone can
    block them (decision 5)."""
    alerts_per_minute: Whole = Field(default=600, ge=200, le=60_000)
    """More are refused; a request has at most 200."""

    def origin(self) -> Origin:
        """As the codec knows it."""
        return Origin(name=self.name, trust=self.trust, verified=self.verified)
