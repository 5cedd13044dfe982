"""Counts of content, added to the rows of their connections."""

import numpy as np

from agents.sensor.flows.marks import CONTENT_COLUMNS, add_counts


def test_counts_stay_at_255() -> None:
    counts = np.array([[250] * 7], np.uint8)
    add_counts(counts, np.array([0, 0]), np.array([[9] * 6 + [1], [0] * 6 + [4]], np.uint8))
    assert counts.tolist() == [[255] * 6 + [250 | 5]]


def test_each_row_gets_its_own() -> None:
    counts = np.zeros((3, len(CONTENT_COLUMNS)), np.uint8)
    said = np.zeros((3, len(CONTENT_COLUMNS)), np.uint8)
    said[:, 0] = 1, 2, 4
    add_counts(counts, np.array([2, 0, 2]), said)
    assert counts[:, 0].tolist() == [2, 0, 5]
