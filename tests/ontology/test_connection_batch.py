"""The batch of connections: its dtype is the wire's, and equal is what has equal rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ontology.connection_batch import (
    CONNECTION,
    CONNECTION_STATES,
    CONTENT_COUNTS,
    CONTENT_FLAGS,
    INDICATORS,
    ConnectionBatch,
)

BATCH = ConnectionBatch(
    id="urn:uuid:00000000-0000-0000-0000-000000000001",
    sensor="sensor.gw1@example.org",
    begin_us=1,
    end_us=2,
    packets=3,
    dropped=0,
    malformed=0,
    connections=np.zeros(2, CONNECTION),
)


def test_a_row_is_packed_and_its_bits_and_columns_have_names() -> None:
    assert CONNECTION.itemsize == 101
    assert not CONNECTION.isalignedstruct
    assert set(CONTENT_COUNTS) < set(CONNECTION.names or ())
    assert len(INDICATORS) <= 8 * CONNECTION["indicators"].itemsize
    assert len(CONTENT_FLAGS) <= 8 * CONNECTION["content_flags"].itemsize
    assert len(CONNECTION_STATES) <= 256


def test_equal_is_what_has_equal_rows() -> None:
    same = replace(BATCH, connections=BATCH.connections.copy())
    assert same == BATCH and hash(same) == hash(BATCH)
    other = BATCH.connections.copy()
    other["dst_port"][1] = 22
    assert replace(BATCH, connections=other) != BATCH
    assert BATCH != "a batch"


@pytest.mark.parametrize(
    "changes",
    [
        {"begin_us": -1},
        {"end_us": 1 << 62},
        {"connections": np.zeros(2)},
        {"connections": np.zeros((2, 2), CONNECTION)},
    ],
)
def test_what_is_no_batch_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(BATCH, **changes)
