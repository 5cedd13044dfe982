"""IDMEFv2 of others."""

from __future__ import annotations

from typing import Any

import pytest

from agents.idmef.complaints import IdmefError
from agents.idmef.reading import MAX_DOCUMENTS, documents, report_of
from agents.idmef.times import iso_us
from tests.agents.idmef.samples import document


def test_what_it_says() -> None:
    found = report_of(document(Ref=["https://x/CVE-2018-15473"]), "document 1")
    assert found is not None
    assert [str(a) for a in (*found.sources, *found.targets)] == ["192.0.2.66", "198.51.100.18"]
    assert (found.target_port, found.protocol, found.confidence) == (22, 6, 0.9)
    assert (found.severity, found.analyzer, found.text) == (0.6, "prelude-nids", "TCP port scan")
    assert found.begin_us == found.end_us == iso_us("2026-09-21T12:00:00.5Z")
    assert found.references == ("https://x/CVE-2018-15473",)


@pytest.mark.parametrize(
    "values", [{"Cause": "Error"}, {"Cause": "Normal"}, {"Status": ["Closed", "Event"]}]
)
def test_what_is_no_attack_any_more(values: dict[str, Any]) -> None:
    assert report_of(document(**values), "document 1") is None


END = {"ID": "619df7bc-35ef-40d8-bbee-1901117370b2"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Target": [{**END, "Port": [70000]}]}, "document 7: Target.Port '70000': not in"),
        ({"CreateTime": "2026-09-31T12:00:00Z"}, "document 7: CreateTime '2026-09-31T1"),
        ({"Source": [{**END, "IP": "::192.0.2.300"}]}, "document 7: Source.0.IP '::192.0.2.300'"),
        ({"Source": [END] * 1100}, "document 7: Source, Target: more than 1024"),
    ],
)
def test_what_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(IdmefError, match=words):
        report_of(document(**values), "document 7")


def test_ports_of_several_are_nobodys() -> None:
    found = report_of(document(Target=[{**END, "Port": [22, 23]}], Source=None), "document 1")
    assert found is not None
    assert (found.target_port, found.protocol, found.sources) == (None, None, ())


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"Confidence": NaN}', b"[" * 100_000])
def test_no_json(data: bytes) -> None:
    with pytest.raises(IdmefError, match="document: JSON"):
        documents(data)


def test_an_array_is_bounded() -> None:
    assert len(documents(b"[{}, {}]")) == 2
    with pytest.raises(IdmefError, match="array '201': more than 200"):
        documents(b"[" + b",".join([b"{}"] * (MAX_DOCUMENTS + 1)) + b"]")
