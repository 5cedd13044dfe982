"""What can't be done, and why, for whoever asked."""

from __future__ import annotations

from typing import Literal


class ServiceError(ValueError):
    """An operation that can't be done; ``kind`` is the outcome that its asker is told."""

    def __init__(self, kind: Literal["unknown", "ended", "refused"], message: str) -> None:
        super().__init__(message)
        self.kind: Literal["unknown", "ended", "refused"] = kind
