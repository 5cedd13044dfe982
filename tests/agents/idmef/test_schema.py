"""The library's schemas, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from idmefv2 import Message

from agents.idmef.complaints import IdmefError
from agents.idmef.schema import VERSIONS, check_document
from tests.agents.idmef.samples import document


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_that_we_read(version: str) -> None:
    # What is wanted of an analyzer, and what categories are called, changes from draft to draft.
    known = document(Version=version, Category=None, Source=None, Target=None)
    known["Analyzer"] = {"Name": "nids", "IP": "192.0.2.1"}
    if version == "2.D.V07":
        known["Analyzer"]["ID"] = known["ID"]
    check_document(known, "document 1")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Version": "2.D.V99"}, r"document 1: Version '2\.D\.V99': not one of 2\.D\.V03 to"),
        ({"Version": None}, "Version: not one of"),
        ({"ID": "x\x1b[2J"}, r"document 1: ID 'x\\x1b\[2J': not in the form"),
        ({"Confidence": 2}, "document 1: Confidence '2': 2 is greater than the maximum of 1"),
        ({"Analyzer": {}}, "document 1: Analyzer: required: Name is missing"),
        ({"CreateTime": None}, "document 1: document: required: CreateTime is missing"),
        ({"Colour": 1}, "document: additionalProperties: there is no Colour"),
        ({"Source": [{"ID": 3}]}, r"Source\.0\.ID '3'"),
        ({"Source": {}}, "Source: type: another type is wanted"),
    ],
)
def test_a_refusal_names_place_element_and_value(values: dict[str, Any], words: str) -> None:
    made = document(**values)
    with pytest.raises(IdmefError, match=words) as caught:
        check_document(made, "document 1")
    assert str(caught.value).isprintable()
    message = Message()
    message.update(made)
    with pytest.raises(Exception):  # noqa: B017  (the library refuses it too, somehow)
        message.validate()


def test_a_list_is_no_document() -> None:
    with pytest.raises(IdmefError, match="not a JSON object"):
        check_document([1], "document 2")
