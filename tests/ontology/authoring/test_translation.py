"""Our records in OntoIDPSMA's names and back: what comes back, and that every loss is stated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, RdfFormat, parse

from ontology.authoring.translation import (
    ONTOIDPSMA_IRI,
    PROPERTIES,
    TranslationError,
    translate,
)
from ontology.fragments import decode, encode
from ontology.records import Alert, Incident
from ontology.taxonomy import ATTACK_CLASSES, INCIDENT_CLASSES
from ontology.vocabulary import ONTOLOGY_IRI
from tests.factories import make_alert

MA = ONTOIDPSMA_IRI + "#"
ALERT = make_alert(
    id="urn:uuid:a",
    classification="SynScan",
    source="192.0.2.7",
    target="2001:db8::5",
    target_port=22,
    begin_us=1_700_000_000_123_456,
    end_us=1_700_000_009_000_000,
    count=3,
    confidence=0.9,
    verified_source=True,
    sensor="sensor.gw1@honeynet.test",
    analyzer="analyzer.gw1@honeynet.test",
    explanation='200 ports, "half open"\n-',
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).filter(lambda t: t != "-")
times = st.integers(0, 4_000_000_000_000_000)
addresses = (
    st.none()
    | st.builds(IPv4Address, st.integers(0, 2**32 - 1))
    | st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)
alerts = st.builds(
    Alert,
    id=st.integers(0, 999).map(lambda n: f"urn:uuid:{n}"),
    classification=st.sampled_from(sorted(ATTACK_CLASSES)),
    source=addresses,
    target=addresses,
    target_port=st.none() | st.integers(0, 65535),
    protocol=st.integers(0, 255),
    begin_us=times,
    end_us=times,
    count=st.integers(1, 9),
    confidence=st.floats(0, 1),
    verified_source=st.booleans(),
    sensor=texts,
    analyzer=texts,
    explanation=texts,
)
incidents = st.builds(
    Incident,
    id=st.integers(1000, 1999).map(lambda n: f"urn:uuid:{n}"),
    classification=st.sampled_from(sorted(INCIDENT_CLASSES)),
    source=addresses,
    targets=st.lists(addresses.filter(bool), max_size=1).map(tuple),
    alerts=st.just(()),
    rule=texts,
    begin_us=times,
    end_us=times,
    severity=st.floats(0, 1),
    verified_source=st.booleans(),
    explanation=texts,
)


def values(fragment: str) -> dict[str, dict[str, str]]:
    """What a fragment in OntoIDPSMA's names says, by individual."""
    found: dict[str, dict[str, str]] = {}
    for t in parse(fragment.encode(), format=RdfFormat.TURTLE):
        assert isinstance(t.subject, NamedNode)
        said = found.setdefault(t.subject.value, {})
        if isinstance(t.object, Literal):
            assert t.object.datatype.value.endswith("#string")
            said[t.predicate.value.removeprefix(MA)] = t.object.value
        else:
            assert t.object == NamedNode(MA + "Event")
    return found


def test_an_alert_has_the_published_names_and_the_losses_are_stated() -> None:
    found = translate(encode([ALERT]), ONTOIDPSMA_IRI)
    (said,) = values(found.fragment).values()
    assert said == {
        "eventID": "urn:uuid:a",
        "SensorID": "sensor.gw1@honeynet.test",
        "Priority": "-",
        "NameEvent": "SynScan",
        "ProtocolEvent": "tcp",
        "SrcIP": "192.0.2.7",
        "srcPort": "-",
        "dstIP": "2001:db8::5",
        "dstPort": "22",
        "data": '200 ports, "half open"\n-',
        "timestamp": "2023-11-14T22:13:20.123456Z",
    }
    assert list(said) and set(said) == set(PROPERTIES)
    lost = {line.partition(":")[0] for line in found.losses}
    assert lost == {
        f"Alert.{name}" for name in ("end_us", "count", "confidence", "verified_source", "analyzer")
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(alerts | incidents, max_size=5, unique_by=lambda r: r.id))
def test_what_has_a_name_comes_back_and_the_rest_is_stated(records: list[Alert | Incident]) -> None:
    there = translate(encode(records), ONTOIDPSMA_IRI)
    back = translate(there.fragment, ONTOLOGY_IRI)
    found = {r.id: r for r in decode(back.fragment)}
    stated = " ".join(there.losses)
    assert set(found) == {r.id for r in records}
    for record in decode(encode(records)):
        came = found[record.id]
        assert type(came) is type(record)
        for name in record.__dataclass_fields__:
            if getattr(came, name) != getattr(record, name):
                assert f"{type(record).__name__}.{name}:" in stated, name
    # Once in the other names nothing more is lost.
    assert values(translate(back.fragment, ONTOIDPSMA_IRI).fragment) == values(there.fragment)


events = st.fixed_dictionaries(
    {
        "eventID": st.just("-") | texts,
        "SensorID": texts.filter(bool),
        "NameEvent": st.sampled_from(sorted(ATTACK_CLASSES)) | texts,
        "ProtocolEvent": st.sampled_from(["tcp", "UDP", "icmp", "47", "ip", "-"]) | texts,
        "SrcIP": st.sampled_from(["-", "192.0.2.1"]),
        "srcPort": st.sampled_from(["-", "1024"]),
        "dstIP": st.sampled_from(["-", "2001:db8::1"]),
        "dstPort": st.sampled_from(["-", "80"]),
        "Priority": st.sampled_from(["-", "0.5"]),
        "data": texts.filter(bool),
        "timestamp": st.integers(0, 10**9).map(
            lambda s: (datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=s)).isoformat()
        ),
    }
)


@settings(max_examples=60, deadline=None)
@given(events)
def test_their_events_come_back_but_for_what_is_stated(event: dict[str, str]) -> None:
    from pyoxigraph import Triple, serialize

    subject = NamedNode("http://example.org/event1")
    triples = [Triple(subject, NamedNode(MA + n), Literal(v)) for n, v in event.items()]
    kind = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
    triples.append(Triple(subject, kind, NamedNode(MA + "Event")))
    text = (serialize(triples, format=RdfFormat.TURTLE) or b"").decode()
    ours = translate(text, ONTOLOGY_IRI)
    (said,) = values(translate(ours.fragment, ONTOIDPSMA_IRI).fragment).values()
    stated = {line.partition(":")[0] for line in ours.losses}
    for name in PROPERTIES:
        same = said[name] == event[name]
        if name == "timestamp":
            same = datetime.fromisoformat(said[name]) == datetime.fromisoformat(event[name])
        elif name == "ProtocolEvent":
            same = said[name] == event[name].lower() or said[name] == event[name].lstrip("0")
        assert same or name in stated, (name, event[name], said[name])


def event(**changes: str) -> str:
    said = {"eventID": "urn:uuid:1", "NameEvent": "SynScan", "timestamp": "2026-01-01T00:00:00Z"}
    body = "".join(f' ; ma:{n} "{v}"' for n, v in (said | changes).items())
    return f"@prefix ma: <{MA}> .\n<urn:uuid:1> a ma:Event{body} ."


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        (event(timestamp="yesterday"), "no ISO 8601 time"),
        (event(timestamp="0001-01-01T00:00:00Z"), "out of range"),
        (event(SrcIP="300.1.1.1"), "SrcIP '300.1.1.1' is no IP address"),
        (event(dstPort="70000"), "no port"),
        (event(dstPort="²"), "no port"),
        (event(colour="red"), "no published name"),
        (event() + f'\n<urn:uuid:1> <{MA}SrcIP> "192.0.2.1", "192.0.2.2" .', "2 values"),
        (event().replace("<urn:uuid:1>", "[]"), "blank"),
        (event().replace("ma:Event", "ma:Thing"), "must be an Event"),
        (event(NameEvent="FloodIncident", Priority="high"), "is no number"),
        (event(NameEvent="FloodIncident", Priority="nan"), "must lie in [0, 1]"),
        ("<", "not Turtle"),
        ("#" * 200_001, "at most 200000"),
        ("\ud800", "not Unicode"),
    ],
)
def test_what_can_not_be_translated_is_refused_with_the_reason(fragment: str, said: str) -> None:
    with pytest.raises(TranslationError, match=said.replace("[", r"\[")):
        translate(fragment, ONTOLOGY_IRI)


def test_two_events_of_one_id_and_an_unknown_target_are_refused() -> None:
    twice = event() + "\n" + event().replace("<urn:uuid:1> a", "<urn:uuid:2> a").split("\n")[1]
    with pytest.raises(TranslationError, match="given twice"):
        translate(twice, ONTOLOGY_IRI)
    with pytest.raises(TranslationError, match="no translation to 'urn:x'"):
        translate(encode([replace(ALERT)]), "urn:x")
