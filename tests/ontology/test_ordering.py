"""The stable order of whole numbers is that of NumPy's stable sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology.ordering import stable_order

_NUMBERS = {
    np.int64: st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)),
    np.uint64: st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)),
    np.uint16: st.integers(0, 2**16 - 1),
}


@given(st.data())
def test_order_is_numpys(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(_NUMBERS, key=str)))
    values = np.array(data.draw(st.lists(_NUMBERS[kind], max_size=40)), kind)
    assert stable_order(values).tolist() == np.argsort(values, kind="stable").tolist()


@pytest.mark.parametrize("span", [1 << 53, (1 << 54) - 1, 1 << 54, (1 << 63) - 1])
def test_order_at_the_limit_of_a_word(span: int) -> None:
    values = np.resize(np.array([5 - span // 2, 5, 5 - span // 2 + span], np.int64), 1000)
    assert stable_order(values).tolist() == np.argsort(values, kind="stable").tolist()
