"""Live connections' features as an `Encoding`: the hybrid model's view of them."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from agents.analyzer.encoding import Encoding
from agents.analyzer.features import FEATURES, FEATURES_HASH

_ONE_HOT = ("protocol_", "service_", "flag_")
"""Columns that are one category between them: a person speaks of the service, not of eight."""


def _name(column: str) -> str:
    return next((p.rstrip("_") for p in _ONE_HOT if column.startswith(p)), column)


_NAMES = [_name(column) for column in FEATURES]
_GROUPS = tuple(name for name, _ in groupby(_NAMES))
LIVE = Encoding(
    FEATURES_HASH,
    _GROUPS,
    np.array([_GROUPS.index(name) for name in _NAMES]),
    len(FEATURES),
    "sample connection",
)
