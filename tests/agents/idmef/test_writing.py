"""Our records as IDMEFv2, valid by the library's own check, and back."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idmefv2 import Message, SerializedMessage

from agents.idmef.complaints import IdmefError
from agents.idmef.schema import check_document
from agents.idmef.writing import MAX_TEXT, document_of, record_of
from ontology.host_event import account_names
from ontology.records import MAX_TIME_US, Alert, Incident
from ontology.taxonomy import ATTACK_CLASSES
from tests.agents.idmef.samples import alert, incident

HOSTILE = "\x1b[2J\u202e</script>\x00 \ud800 ' OR 1=1"


def there_and_back(record: Alert | Incident) -> Alert | Incident:
    """Over the wire, by the library."""
    message = Message()
    message.update(document_of(record))
    sent = message.serialize("application/json")
    heard = Message.unserialize(SerializedMessage("application/json", bytes(sent)))
    check_document(dict(heard), "document")
    return record_of(dict(heard))


@pytest.mark.parametrize("record", [alert(), incident()])
def test_a_record_comes_back_as_it_was(record: Alert | Incident) -> None:
    assert there_and_back(record) == record


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
some_addresses = st.lists(addresses, max_size=4, unique=True).map(tuple)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
few = st.lists(words, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
part = st.floats(0, 1)


@given(
    made=st.builds(
        Alert,
        id=st.uuids().map(lambda u: u.urn),
        classification=st.sampled_from(sorted(ATTACK_CLASSES)),
        source=st.none() | addresses,
        target=st.none() | addresses,
        sources=some_addresses,
        targets=some_addresses,
        source_count=st.integers(1, 1 << 31),
        target_count=st.integers(1, 1 << 31),
        target_port=st.none() | st.integers(0, 65535),
        protocol=st.integers(0, 255),
        begin_us=st.integers(0, MAX_TIME_US),
        end_us=st.integers(0, MAX_TIME_US),
        count=st.integers(1, 1 << 40),
        confidence=part,
        verified_source=st.booleans(),
        sensor=words,
        analyzer=words,
        explanation=words,
        signatures=few,
        cves=st.just(("CVE-2018-15473",)) | st.just(()),
        affected_services=few,
        affected_systems=few,
        stage=st.sampled_from(["original", "junior", "senior"]),
        host_events=few,
        severity=st.none() | part,
        users=st.lists(words, max_size=3).map(account_names),
        cluster_number=st.none() | st.integers(0, 99),
        cluster_name=st.none() | words,
        cluster_distance=st.none() | st.floats(0, 1e9),
    )
)
@settings(max_examples=40, deadline=None)
def test_any_alert_is_valid_and_comes_back(made: Alert) -> None:
    check_document(document_of(made), "document")
    assert record_of(json.loads(json.dumps(document_of(made)))) == made


def test_each_field_of_a_record_has_a_place() -> None:
    """A field that is added to a record must travel."""
    for record in (alert(), incident()):
        kept = document_of(record)["Attachment"][0]["Content"]
        elsewhere = {"classification", "begin_us", "end_us", "explanation"}
        elsewhere |= {"confidence", "sensor", "analyzer"} if isinstance(record, Alert) else set()
        assert {f.name for f in dataclasses.fields(record)} == kept.keys() | elsewhere


def test_what_attackers_wrote_is_bounded_and_printable() -> None:
    made = document_of(alert(explanation=HOSTILE * 500))
    assert len(made["Description"]) == MAX_TEXT
    assert made["Description"].isprintable()
    assert "\\x1b[2J\\u202e</script>\\x00 \\ud800" in made["Description"]
    json.dumps(made).encode("utf-8")


def test_others_see_what_it_is() -> None:
    made = document_of(alert(severity=0.8, cves=("CVE-2018-15473",), users=("root",)))
    assert made["Category"] == ["Recon.Network"]
    assert made["AltCategory"] == ["ontoidps:SynScan"]
    assert made["Priority"] == "High"
    assert made["Source"][0]["IP"] == "192.0.2.66"
    assert (made["Target"][0]["Port"], made["Target"][0]["User"]) == ([22], "root")
    assert made["CreateTime"] == "2026-09-21T14:13:22.500001Z"
    assert made["Ref"] == ["https://www.cve.org/CVERecord?id=CVE-2018-15473"]


def test_a_flood_from_many_is_distributed() -> None:
    made = document_of(alert(classification="SynFlood", source=None, source_count=900))
    assert made["Category"] == ["Availability.DDoS"]
    assert "Source" not in made


def test_an_incident_names_its_alerts() -> None:
    made = document_of(incident())
    assert made["Status"] == ["Incident"]
    assert made["CorrelID"] == ["7a5f0a4e-6a1b-4c55-8d0c-1d2f3a4b5c6d"]
    assert made["AggrCondition"] == ["ScanThenBruteForce"]


def test_a_strangers_document_is_none_of_ours() -> None:
    made = document_of(alert())
    made["Attachment"][0]["Content"]["colour"] = "red"
    with pytest.raises(IdmefError, match=r"Attachment.Content 'colour': no field of a record"):
        record_of(made)
    del made["Attachment"]
    with pytest.raises(IdmefError, match="there is none called ontoidps"):
        record_of(made)
