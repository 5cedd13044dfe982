"""What the columns of encoded records mean, for models that serve more than one kind of record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Columns and the features, as a person knows them, that they stand for."""

    digest: str
    """Kept in a model: a model of other columns must not be used."""
    groups: tuple[str, ...]
    """Names of the features; a category has one, however many columns."""
    column_group: NDArray[np.int64]
    """(columns,) index into ``groups``."""
    clustered: int
    """Clusters use the columns before this one."""
    unit: str = "line"
    """What the number of a training record counts, for explanations."""

    @property
    def columns(self) -> int:
        """Width of an encoded record."""
        return len(self.column_group)
