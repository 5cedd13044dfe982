"""What can't be done, and why, for the console."""

from __future__ import annotations

from typing import Literal


class ServiceError(ValueError):
    """An operation that can't be done; ``kind`` tells the console which HTTP status it is."""

    def __init__(
        self, kind: Literal["unknown", "ended", "refused", "unanswered"], message: str
    ) -> None:
        super().__init__(message)
        self.kind = kind
