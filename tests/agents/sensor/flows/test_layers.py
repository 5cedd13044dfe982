"""Names of what can't be read."""

from __future__ import annotations

import numpy as np

from agents.sensor.flows.layers import (
    LINK_LAYERS,
    LINK_NAMES,
    MALFORMED,
    MAX_NAMES,
    TRUNCATED,
    UNREAD_LINK,
    UNREAD_TYPE,
    is_network,
    malformed_kinds,
    name_unread,
    unread_link,
)


def test_the_most_frequent_are_named_and_the_rest_counted() -> None:
    layer = np.array([UNREAD_TYPE | n for n in range(MAX_NAMES + 5)] + [UNREAD_TYPE | 3] * 9)
    names = name_unread(layer)
    assert names["EtherType-0x0003"] == 10
    assert (len(names), names["others"], names.total()) == (MAX_NAMES + 1, 5, len(layer))


def test_link_types_have_the_names_of_the_registry() -> None:
    layer = np.array([unread_link(189), unread_link(9999), UNREAD_LINK])
    assert set(name_unread(layer)) == {"link-type-USB_LINUX", "link-type-9999", "link-type-0"}
    assert not LINK_NAMES.keys() & LINK_LAYERS.keys()


def test_verdicts_are_no_layers() -> None:
    layer = np.array([0x0800, TRUNCATED, UNREAD_TYPE | 0x0800, TRUNCATED])
    assert is_network(layer).tolist() == [True, False, False, False]
    assert [(kind, at.tolist()) for kind, at in malformed_kinds(layer)] == [(MALFORMED[0], [1, 3])]
