"""Sections of ``honeynet.toml`` about nodes: contradictions within one are refused by name."""

from datetime import UTC
from typing import Any

import pytest
from pydantic import ValidationError

from agents.settings.node_sections import Input, Node


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"agents": []}, "runs no agents"),
        ({"agents": ["reaction", "reaction"]}, "lists an agent twice"),
        ({"agents": ["sensor", "analyzer"]}, "no interfaces, nflog, captures or inputs"),
        ({"agents": ["sensor"], "interfaces": ["lo"]}, "no analyzer beside it"),
        ({"agents": ["reaction"], "nflog": [5]}, "no sensor to read them"),
        ({"agents": ["reaction"], "detectors": ["logins"]}, "no analyzer to run them"),
        ({"agents": ["analyzer"], "responders": ["tcp-reset"]}, "need a reaction agent"),
        ({"agents": ["king"]}, "sensor"),
    ],
)
def test_a_node_that_contradicts_itself_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Node.model_validate({"name": "gw1", **changes})


def test_an_input_has_a_kind_that_is_known_and_a_zone_that_exists() -> None:
    log = {"kind": "cowrie", "path": "cowrie.json"}
    assert Input.model_validate(log).zone() is UTC
    assert str(Input.model_validate(log | {"timezone": "Europe/Berlin"}).zone()) == "Europe/Berlin"
    with pytest.raises(ValidationError, match="no time zone is called 'Mars'"):
        Input.model_validate(log | {"timezone": "Mars"})
    with pytest.raises(ValidationError, match="weather"):
        Input.model_validate(log | {"kind": "weather"})
