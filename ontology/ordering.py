"""Stable order of whole numbers, for the block-wise work of sensor and analyzer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def stable_order(values: NDArray[Any]) -> NDArray[np.int64]:
    """``np.argsort(values, kind="stable")`` of an integer column, some 20 times as fast.

    Value and position share one 64-bit word: NumPy sorts plain words with vector instructions,
    and equal values stay in order because their positions do. Too wide a range falls back.
    """
    n = len(values)
    if n < 2:
        return np.arange(n)
    low, high = values.min(), values.max()
    shift = (n - 1).bit_length()
    if int(high) - int(low) >= 1 << (64 - shift):
        return np.argsort(values, kind="stable")
    # Differences modulo 2**64 are right for signed columns, too.
    words = values.astype(np.uint64)
    words -= low.astype(np.uint64)
    words <<= np.uint64(shift)
    words |= np.arange(n, dtype=np.uint64)
    words.sort()
    words &= np.uint64((1 << shift) - 1)
    return words.view(np.int64)
