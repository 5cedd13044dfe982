"""Round trips of every kind of record, and what the decoder refuses."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, get_args

import numpy as np
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse

from ontology import oversight as o
from ontology import records as r
from ontology.fragments import MAX_BYTES, MAX_TRIPLES, FragmentError, decode, encode
from ontology.host_event import account_names
from ontology.taxonomy import ATTACK_CLASSES, HOST_CLASSES, INCIDENT_CLASSES, TRAFFIC_CLASSES
from tests.factories import make_alert, make_batch

UUID = "urn:uuid:00000000-0000-4000-8000-000000000001"
# XML 1.0 production [2], without carriage return, which XML parsers turn into a line feed.
NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ids = st.uuids(version=4).map(lambda u: f"urn:uuid:{u}")
host_texts = st.from_regex(r"[a-z][a-z .:/]{0,30}[a-z]", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
times = st.integers(0, r.MAX_TIME_US)
counts = st.integers(0, 2**63 - 1)
units = st.floats(0, 1)
ports = st.integers(0, 65535)
addresses = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**32 - 1).map(lambda n: IPv6Address((0xFFFF << 32) + n)),
)


def sets(items: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[tuple[Any, ...]]:
    """Tuples in the order that records promise."""

    def key(item: Any) -> Any:
        return (item.version, int(item)) if hasattr(item, "version") else item

    return st.lists(items, max_size=most, unique=True).map(lambda i: tuple(sorted(i, key=key)))


@st.composite
def connection_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    rows = draw(st.integers(0, 5))
    raw = draw(
        st.binary(min_size=rows * r.CONNECTION.itemsize, max_size=rows * r.CONNECTION.itemsize)
    )
    array = np.frombuffer(bytearray(raw), dtype=r.CONNECTION)
    array["start_us"] %= r.MAX_TIME_US
    array["duration_us"] %= r.MAX_TIME_US
    array["state"] %= len(r.CONNECTION_STATES)
    array["ip_version"] = np.where(array["ip_version"] % 2, 4, 6)
    return array


DECISION = st.fixed_dictionaries(
    {
        "id": ids,
        "source": addresses,
        "target": st.none() | addresses,
        "classification": st.sampled_from([*sorted(INCIDENT_CLASSES), "Manual"]),
        "incident": st.none() | ids,
        "origin": texts,
        "decided_us": times,
        "reason": texts,
        "scope": st.sampled_from(r.DECISION_SCOPES),
    }
)
STRATEGIES: dict[type, st.SearchStrategy[Any]] = {
    r.ConnectionBatch: st.builds(
        r.ConnectionBatch,
        id=ids,
        sensor=texts,
        begin_us=times,
        end_us=times,
        packets=counts,
        dropped=counts,
        malformed=counts,
        connections=connection_arrays(),
    ),
    r.Alert: st.builds(
        r.Alert,
        id=ids,
        classification=st.sampled_from(sorted(ATTACK_CLASSES)),
        source=st.none() | addresses,
        target=st.none() | addresses,
        sources=sets(addresses),
        targets=sets(addresses),
        source_count=counts,
        target_count=counts,
        target_port=st.none() | ports,
        protocol=st.integers(0, 255),
        begin_us=times,
        end_us=times,
        count=counts,
        confidence=units,
        verified_source=st.booleans(),
        sensor=texts,
        analyzer=texts,
        explanation=texts,
        stage=st.sampled_from(["original", "junior", "senior"]),
        host_events=sets(ids).map(lambda found: found[:16]),
        signatures=sets(ids),
        cves=sets(host_texts),
        affected_services=sets(texts),
        affected_systems=sets(texts),
        severity=st.none() | units,
        users=sets(texts).map(account_names),
        cluster_number=st.none() | counts,
        cluster_name=st.none() | texts,
        cluster_distance=st.none() | units,
    ),
    r.HostEvent: st.builds(
        r.HostEvent,
        id=ids,
        event_kind=st.sampled_from(r.HOST_EVENT_KINDS),
        host=addresses,
        source=st.none() | addresses,
        target=st.none() | addresses,
        target_port=st.none() | ports,
        begin_us=times,
        user_name=texts,
        login_name=texts,
        session_name=texts,
        process_id=st.none() | st.integers(0, 2**32 - 1),
        parent_process_id=st.none() | st.integers(0, 2**32 - 1),
        program=texts,
        command_line=texts,
        file_path=texts,
        succeeded=st.booleans(),
        sensor=texts,
    ),
    r.Incident: st.builds(
        r.Incident,
        id=ids,
        classification=st.sampled_from(sorted(INCIDENT_CLASSES)),
        source=st.none() | addresses,
        targets=sets(addresses),
        alerts=sets(ids),
        rule=texts,
        begin_us=times,
        end_us=times,
        severity=units,
        verified_source=st.booleans(),
        explanation=texts,
    ),
    r.Decision: st.one_of(
        st.builds(
            lambda common, seconds: r.Decision(action="block", duration_s=seconds, **common),
            DECISION,
            st.integers(1, 366 * 86400),
        ),
        st.builds(lambda common: r.Decision(action="unblock", duration_s=0, **common), DECISION),
    ),
    r.Block: st.builds(
        r.Block,
        id=ids,
        decision=ids,
        gateway=texts,
        source=addresses,
        state=st.sampled_from(r.BLOCK_STATES),
        since_us=times,
        expires_us=times,
        detail=texts,
    ),
    r.HostProfile: st.builds(
        r.HostProfile,
        id=ids,
        address=addresses,
        roles=sets(st.sampled_from(sorted(HOST_CLASSES))),
        node=texts,
        operating_system=texts,
        open_ports=sets(ports),
        open_services=sets(host_texts),
        asset_value=st.integers(0, 5),
        security_grade=st.none() | st.integers(0, 5),
        fixed_vulnerabilities=sets(st.from_regex(r"CVE-[0-9]{4}-[0-9]{4,7}", fullmatch=True)),
        protected_by=sets(host_texts),
        agents=sets(host_texts),
    ),
    r.GatewayAddresses: st.builds(
        r.GatewayAddresses,
        id=ids,
        node=texts,
        own_addresses=sets(addresses),
        routers=sets(addresses),
        broadcasts=sets(addresses),
        name_servers=sets(addresses),
        message_servers=sets(addresses),
        logins=sets(addresses),
        allowed_hosts=sets(addresses),
    ),
    r.BlocksInForce: st.builds(
        r.BlocksInForce,
        id=ids,
        node=texts,
        part_digests=st.binary(min_size=2048, max_size=2048).map(bytes.hex),
    ),
    r.ObservedData: st.builds(
        r.ObservedData,
        id=ids,
        source=addresses,
        target=st.none() | addresses,
        observed_port=st.none() | st.integers(0, 65535),
        begin_us=times,
        end_us=times,
        verified_source=st.booleans(),
        sensor=texts,
        input_kind=texts,
        **dict.fromkeys(
            ("credentials", "commands", "urls", "file_hashes", "clients"),
            sets(st.text("ab:/ ñ☂𝄞", max_size=20)),
        ),
    ),
    r.AgentDescription: st.builds(
        r.AgentDescription,
        id=ids,
        name=texts,
        role=st.sampled_from(r.ROLES),
        node=texts,
        services=sets(texts),
        ontology_version=texts,
        lease_s=counts,
        health=texts,
    ),
    r.Subscription: st.builds(r.Subscription, id=ids, topic=texts, digest=texts),
    r.OntologyChanged: st.builds(
        r.OntologyChanged,
        id=ids,
        kind=st.sampled_from(r.KNOWLEDGE_KINDS),
        version=texts,
        digest=texts,
        changed_us=times,
        piece_count=st.integers(0, 2**63 - 1),
        detail=texts,
    ),
    r.KnowledgePiece: st.builds(
        r.KnowledgePiece,
        id=ids,
        announcement=ids,
        file_name=texts,
        piece_number=st.integers(1, 100),
        piece_count=st.integers(100, 2**63 - 1),
        file_bytes=st.integers(0, 2**63 - 1),
        digest=texts,
        data=texts,
    ),
    r.TrafficCluster: st.builds(
        r.TrafficCluster,
        id=ids,
        model_digest=texts,
        cluster_number=st.integers(0, 2**63 - 1),
        cluster_name=st.text(
            st.characters(categories=("L", "N", "P", "S", "M")), min_size=1, max_size=80
        ),
        traffic_class=st.sampled_from(sorted(TRAFFIC_CLASSES)),
        purity=st.floats(0, 1),
        radius=st.floats(0, 1e300),
        member_count=st.integers(0, 2**63 - 1),
        case_count=st.integers(0, 2**63 - 1),
        detail=texts,
    ),
    r.OntologyAction: st.builds(
        r.OntologyAction,
        id=ids,
        ontology_action=st.sampled_from(r.ONTOLOGY_ACTIONS),
        fragment=texts,
        target_ontology=texts,
        detail=texts,
    ),
    r.PacketEvidence: st.builds(
        r.PacketEvidence,
        id=ids,
        alert=ids,
        evidence_packets=st.integers(5, 1 << 40),
        cited_packet=st.integers(0, 5),
        omitted_packets=counts,
        dissection=texts,
        capture_data=texts,
        explanation=texts,
    ),
    r.Query: st.builds(r.Query, id=ids, sparql=texts),
    r.Answer: st.builds(r.Answer, id=ids, query=ids, results=texts, truncated=st.booleans()),
    o.FeedPart: st.builds(
        o.FeedPart,
        id=ids,
        feed=texts,
        part_number=st.integers(1, 2**63 - 1),
        opens_snapshot=st.booleans(),
        closes_snapshot=st.booleans(),
    ),
    o.Ban: st.builds(
        o.Ban,
        id=ids,
        source=addresses,
        cause=ids,
        decision=ids,
        ban_state=st.sampled_from(["active", "lifted", "expired"]),
        since_us=times,
        expires_us=times,
        ended_us=times,
        ended_by=texts,
        blocks=sets(ids),
        confirmed=sets(ids),
    ),
    o.Ruling: st.builds(
        o.Ruling,
        id=ids,
        decision=ids,
        ban=st.none() | ids,
        outcome=texts,
        detail=texts,
        received_us=times,
    ),
    o.Receipt: st.builds(o.Receipt, id=ids, received=sets(ids), received_us=times),
    o.AuditLine: st.builds(
        o.AuditLine,
        id=ids,
        line_number=counts,
        audited_us=times,
        actor=texts,
        act=texts,
        subject=texts,
        reason=texts,
        line_hash=texts,
    ),
    o.AgentStatus: st.builds(
        o.AgentStatus,
        id=ids,
        agent=ids,
        agent_state=st.sampled_from(["up", "silent"]),
        since_us=times,
        renewed_us=times,
    ),
    o.BanAction: st.one_of(
        st.builds(
            o.BanAction,
            id=ids,
            ban_action=st.just("block"),
            source=addresses,
            duration_s=st.integers(1, 366 * 86400),
            origin=texts.map("user:".__add__),
            reason=texts,
            outcome=st.sampled_from(["", "refused"]),
            detail=texts,
        ),
        st.builds(
            lambda what, seconds, **common: o.BanAction(
                ban_action=what,
                duration_s=0 if what == "approve" else seconds,
                **common,
            ),
            st.sampled_from(["lift", "extend", "shorten", "approve", "veto"]),
            st.integers(1, 366 * 86400),
            id=ids,
            ban=ids,
            origin=texts.map("user:".__add__),
            reason=texts,
            outcome=st.sampled_from(["", "unknown", "ended"]),
            detail=texts,
        ),
    ),
}
any_records = st.lists(st.one_of(*STRATEGIES.values()), max_size=5, unique_by=lambda x: x.id)


def an_alert(**changes: Any) -> r.Alert:
    alert = make_alert(
        id=UUID,
        classification="SynScan",
        source="192.0.2.7",
        target="2001:db8::1",
        target_port=22,
        begin_us=1_700_000_000_000_000,
        end_us=1_700_000_001_000_000,
        confidence=0.5,
        verified_source=False,
        sensor="sensor.gw1@example.org",
        analyzer="analyzer.gw1@example.org",
    )
    return replace(alert, **changes)


def a_batch(rows: int = 3) -> r.ConnectionBatch:
    connections = np.zeros(rows, r.CONNECTION)
    connections["ip_version"] = 4
    return make_batch(connections, id=UUID, begin_us=0, end_us=1)


def test_every_kind_of_record_has_a_strategy() -> None:
    assert set(STRATEGIES) == set(get_args(r.Record))


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
def test_round_trip_is_exact(kind: type) -> None:
    @settings(max_examples=60, deadline=None)
    @given(record=STRATEGIES[kind])
    def holds(record: r.Record) -> None:
        text = encode([record])
        assert decode(text) == (record,)
        assert not NOT_XML.search(text)
        assert encode([record]) == text

    holds()


@settings(max_examples=60, deadline=None)
@given(any_records)
def test_several_records_come_back_in_order(records: list[r.Record]) -> None:
    assert decode(encode(records)) == tuple(records)


def test_text_is_deterministic_whatever_the_serializer_does_with_prefixes() -> None:
    assert len({encode([an_alert()]) for _ in range(20)}) == 1


def test_no_record_is_an_empty_fragment() -> None:
    assert encode([]) == ""
    assert decode("") == ()
    assert decode("# nothing\n") == ()


def test_text_is_turtle_that_other_tools_read_alike() -> None:
    """rdflib finds the same number of triples, the properties typed as the ontology says."""
    text = encode([an_alert(explanation='a\x00b\r\n"quoted" \\ \uffff')])
    graph = rdflib.Graph().parse(data=text, format="turtle")
    assert len(graph) == len(list(parse(text, format=RdfFormat.TURTLE)))
    idps = rdflib.Namespace("https://w3id.org/ontoidps#")
    alert = rdflib.URIRef(UUID)
    assert (alert, rdflib.RDF.type, idps.SynScan) in graph
    assert graph.value(alert, idps.explanation).value == 'a\x00b\r\n"quoted" \\ \uffff'  # type: ignore[union-attr]
    host = graph.value(alert, idps.hasTarget)
    assert str(graph.value(host, idps.ipAddress)) == "2001:db8::1"
    assert str(graph.value(alert, idps.beginDateTime)) == "2023-11-14T22:13:20+00:00"


def test_hosts_are_described_once() -> None:
    text = encode([an_alert(), an_alert(id=UUID + "2")])
    assert text.count("idps:ipAddress") == 2


def test_sets_are_brought_into_order() -> None:
    four, six = ip_address("192.0.2.9"), ip_address("::1")
    alert = an_alert(sources=(six, four, six))
    assert decode(encode([alert])) == (replace(alert, sources=(four, six)),)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (an_alert(id="alert-1"), "not a record id"),
        (an_alert(id="urn:x:<a>"), "not a record id"),
        (an_alert(id="urn:ontoidps:host:192.0.2.1"), "not a record id"),
        (an_alert(classification="Syn Scan"), "no such class"),
        (an_alert(classification="Attack"), "no such class"),
        (an_alert(explanation="\ud800"), "lone surrogate"),
        (an_alert(source=IPv6Address("fe80::1%eth0")), "zone"),
        (an_alert(source="192.0.2.1"), "not an IPv4Address"),
        (an_alert(count=2**63), "64 bits"),
        (an_alert(count=1.5), "not an integer"),
        (an_alert(sensor=None), "missing"),
        (an_alert(sensor=5), "not a string"),
        (an_alert(explanation="x" * MAX_BYTES), "at most 200000"),
        (object(), "no record"),
    ],
)
def test_encode_refuses(record: r.Record, message: str) -> None:
    with pytest.raises(FragmentError, match=message) as refusal:
        encode([record])
    assert "\n" not in str(refusal.value)


def test_encode_refuses_two_records_with_one_id() -> None:
    with pytest.raises(FragmentError, match="two records"):
        encode([an_alert(), r.Subscription(id=UUID, topic="Alert")])


def replaced(old: str, new: str) -> Callable[[], str]:
    def make() -> str:
        text = encode([an_alert()])
        assert text.count(old) >= 1, old
        return text.replace(old, new, 1)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (replaced("idps:targetPort 22", "idps:targetPart 22"), "targetPart.*unknown"),
        (replaced("idps:targetPort 22", "<http://example.org/p> 22"), "example.org/p.*unknown"),
        (replaced("idps:targetPort 22", "idps:ipAddress 22"), "ipAddress.*not a property of Alert"),
        (replaced("idps:targetPort 22", "idps:purity 0.5e0"), "purity.*not a property of"),
        (replaced("idps:SynScan", "idps:SinScan"), "SinScan"),
        (replaced("idps:SynScan", "idps:FloodIncident"), "FloodIncident"),
        (replaced(" , idps:SynScan", ""), "what a Alert must be besides"),
        (replaced("idps:SynScan", "idps:SynScan , idps:AckScan"), "besides"),
        (replaced("idps:SynScan", "idps:SynScan , idps:Incident"), "exactly one class"),
        (replaced("a idps:Alert , idps:SynScan ;", ""), "exactly one class"),
        (replaced("idps:targetPort 22", "idps:targetPort 22 , 23"), "2 values"),
        (replaced("idps:targetPort 22", "idps:targetPort 65536"), "65536"),
        (replaced("idps:targetPort 22", 'idps:targetPort "22"'), "literal of .*integer"),
        (replaced("idps:targetPort 22", "idps:targetPort 22.0"), "literal of .*integer"),
        (replaced("idps:targetPort 22", f"idps:targetPort {'9' * 5000}"), "19 digits"),
        (replaced('idps:stage "original" .', "."), "stage.*missing"),
        (replaced('"original"', '"final"'), "stage must be"),
        (replaced('"original"', '"original"@en'), "literal of .*string"),
        (replaced('"original"', "idps:Alert"), "literal of .*string"),
        (replaced("verifiedSource false", "verifiedSource 0"), "literal of .*boolean"),
        (replaced('"0.5"', '"1.5"'), "confidence"),
        (replaced('"0.5"', '"NaN"'), "finite"),
        (replaced('"0.5"', '"0_5"'), "finite"),
        (replaced("22:13:20.000000Z", "22:13:20.000001Z"), "contradicts"),
        (replaced("22:13:20.000000Z", "22:13:20"), "contradicts"),
        (replaced("1700000000000000", "-1"), "outside"),
        (replaced("1700000000000000", "9" * 19), "outside"),
        (replaced("host:192.0.2.7> ;", 'host:192.0.2.7> , "x" ;'), "2 values"),
        (replaced("hasSource <urn:ontoidps:host:192.0.2.7>", 'hasSource "x"'), "individual"),
        (replaced("hasSource <urn:ontoidps:host:192.0.2.7>", "hasSource <urn:x:y>"), "not a host"),
        (replaced("host:192.0.2.7> ;", "host:192.0.2.07> ;"), "not an IPv4 or IPv6"),
        (replaced("host:2001:db8::1> ;", "host:2001:DB8::1> ;"), "canonical"),
        (replaced('"192.0.2.7"', '"192.0.2.8"'), "ipAddress.*192.0.2.7"),
        (replaced("addressFamily 4", "addressFamily 6"), "addressFamily"),
        (replaced("a idps:Host", "a idps:Host , idps:Honeypot"), "Host and nothing else"),
        (replaced(UUID, "http://example.org/alert"), "not a record id"),
        (replaced(UUID, "urn:x:" + "y" * 600), "longer than 512"),
        (replaced("hasSource", "hasSource _:b . <urn:x:y> idps:hasTarget"), "neither"),
        (lambda: "@base <http://example.org/> .\n" + encode([an_alert()]), "@base"),
        (lambda: "[] a <https://w3id.org/ontoidps#Query> .", "blank nodes"),
        (lambda: "<urn:a:b> <http://www.w3.org/2002/07/owl#imports> <file:///x> .", "unknown"),
        (lambda: "<a> a <b> .", "not Turtle"),
        (lambda: "<urn:a:b> a", "not Turtle"),
        (lambda: '<!DOCTYPE x [<!ENTITY a "b">]>', "not Turtle"),
        (lambda: "#" * (MAX_BYTES + 1), "at most 200000"),
        (lambda: "\ud800", "Unicode"),
        (lambda: "(" * 100_000, "Turtle|blank"),
        (lambda: "[" * 100_000, "Turtle|blank"),
        (
            lambda: (
                "@prefix i: <https://w3id.org/ontoidps#> .<urn:a:b> i:openPort "
                + ",".join("1" * (MAX_TRIPLES + 1))
                + "."
            ),
            "more than 20000",
        ),
    ],
)
def test_decode_refuses(make: Callable[[], str], message: str) -> None:
    with pytest.raises(FragmentError, match=message) as refusal:
        decode(make())
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 1200


def test_a_prefix_bomb_is_refused_at_its_first_use() -> None:
    """20 kB of prefix, used 20,000 times, would make 400 MB of names."""
    text = f"@prefix p: <urn:x:{'y' * 20_000}> .\n" + "p:a a p:b.\n" * 10_000
    with pytest.raises(FragmentError, match="longer than 512"):
        decode(text)


@pytest.mark.parametrize("text", ["2023-11-14T23:13:20+01:00", "2023-11-14T22:13:20.0000000Z"])
def test_the_same_instant_may_be_written_otherwise(text: str) -> None:
    assert decode(replaced("2023-11-14T22:13:20.000000Z", text)()) == (an_alert(),)


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"connectionCount 3", "connectionCount 2", "exactly 2"),
        (r"connectionCount 3", "connectionCount 4", "exactly 4"),
        (r"connectionCount 3", "connectionCount 10001", "outside"),
        (r"connectionCount 3", "connectionCount -1", "outside"),
        (r'connections "[^"]*"', f'connections "{packed(bytes(100_000_000))}"', "exactly 3"),
        (r'connections "[^"]*"', 'connections "AAAA"', "not zlib"),
        (r'connections "[^"]*"', 'connections "A A="', "not zlib"),
        (r'connections "[^"]*"', 'connections "é"', "ASCII"),
        (r'connections "[^"]*"', f'connections "{packed(b"x" * 5)}"', "exactly 3"),
        (
            r'connections "[^"]*"',
            f'connections "{packed(bytes(3 * r.CONNECTION.itemsize))}"',
            "IP version",
        ),
        (
            r'connections "[^"]*"',
            f'connections "{packed(bytes([255]) * 3 * r.CONNECTION.itemsize)}"',
            "starts outside",
        ),
    ],
)
def test_decode_refuses_connections(old: str, new: str, message: str) -> None:
    text = encode([a_batch()])
    assert re.search(old, text)
    with pytest.raises(FragmentError, match=message):
        decode(re.sub(old, new, text, count=1))


def test_encode_refuses_too_many_connections() -> None:
    with pytest.raises(FragmentError, match="at most 10000"):
        encode([a_batch(10_001)])


def test_decoded_connections_are_read_only() -> None:
    (batch,) = decode(encode([a_batch()]))
    assert isinstance(batch, r.ConnectionBatch)
    assert not batch.connections.flags.writeable


TURTLE_SCRAPS = st.lists(
    st.one_of(
        st.sampled_from(
            "a . ; , [ ] ( ) << >> {| |} ~ @en @base @prefix BASE PREFIX VERSION idps: <urn:a:b> "
            '<https://w3id.org/ontoidps#Alert> _:x "s" """t""" \'u\' 1 1.0 1e9 true \\u0000 ^^ #'
            "".split()
        ),
        st.text(max_size=5),
    ),
    max_size=20,
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(st.characters(), max_size=60), TURTLE_SCRAPS))
def test_decode_raises_nothing_else_on_any_text(text: str) -> None:
    try:
        decode(text)
    except FragmentError as e:
        assert "\n" not in str(e)


@settings(max_examples=300, deadline=None)
@given(any_records, st.data())
def test_decode_raises_nothing_else_on_a_damaged_fragment(
    records: list[r.Record], data: st.DataObject
) -> None:
    text = encode(records)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(st.text(st.characters(), max_size=5)) + text[end:]
    try:
        decode(text)
    except FragmentError as e:
        assert "\n" not in str(e)
