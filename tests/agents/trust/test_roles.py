from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.trust.identity import Peer, Refused
from agents.trust.roles import PERMITTED, check_roles
from ontology.oversight import AuditLine, BanAction
from ontology.records import (
    ROLES,
    AgentDescription,
    Alert,
    Block,
    GatewayAddresses,
    HostEvent,
    ObservedData,
    OntologyAction,
    Record,
    Role,
    Subscription,
    TrafficCluster,
)
from tests.factories import make_alert, make_decision

KEY = Ed25519PrivateKey.generate().public_key()
DECISION = make_decision(
    id="urn:uuid:1",
    source="192.0.2.1",
    classification="Manual",
    origin="user:x",
    decided_us=0,
    duration_s=60,
)


def peer(role: str, node: str = "gw1") -> Peer:
    return Peer(f"{role}.{node}@honeynet.test", role, node, KEY)


def block(gateway: str) -> Block:
    return Block(
        id="urn:uuid:2",
        decision="urn:uuid:1",
        gateway=gateway,
        source=IPv4Address("192.0.2.1"),
        state="active",
        since_us=0,
        expires_us=0,
    )


def finding(analyzer: str) -> Alert:
    return make_alert(
        id="urn:uuid:5",
        classification="SynScan",
        source="192.0.2.1",
        target="192.0.2.2",
        begin_us=0,
        end_us=0,
        confidence=0.5,
        verified_source=False,
        sensor="s",
        analyzer=analyzer,
    )


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("node", ["gw1", "gw2"])
def test_the_supervisor_and_the_correlation_agent_of_the_node_order_a_gateway(
    role: str, node: str
) -> None:
    order = DECISION if role == "supervisor" else replace(DECISION, origin=peer(role, node).jid)
    if role == "supervisor" or (role, node) == ("correlation", "gw2"):
        check_roles(peer(role, node), peer("reaction", "gw2"), "request", [order])
    else:
        with pytest.raises(Refused, match="role"):
            check_roles(peer(role, node), peer("reaction", "gw2"), "request", [order])


def test_a_cell_publishes_its_own_decisions_to_cells() -> None:
    cell, other = peer("correlation"), peer("correlation", "gw2")
    check_roles(other, cell, "subscribe", [Subscription(id="urn:uuid:3", topic="Cooperation")])
    check_roles(cell, other, "inform", [replace(DECISION, origin=cell.jid)])
    for origin in (other.jid, "user:x"):
        with pytest.raises(Refused, match="another"):
            check_roles(cell, other, "inform", [replace(DECISION, origin=origin)])
    # No cell orders another, nor another's gateway.
    with pytest.raises(Refused, match="role"):
        check_roles(cell, other, "request", [replace(DECISION, origin=cell.jid)])


def test_a_cell_withdraws_its_own_block_and_lifts_nobody_elses() -> None:
    cell = peer("correlation")
    lift = replace(DECISION, action="unblock", duration_s=0, origin=cell.jid)
    check_roles(cell, peer("reaction"), "request", [lift])
    for receiver, performative in (
        (peer("supervisor"), "request"),
        (peer("supervisor"), "inform"),
        (peer("correlation", "gw2"), "inform"),
    ):
        with pytest.raises(Refused, match="lifts no ban"):
            check_roles(cell, receiver, performative, [lift])
    order = replace(lift, origin="user:ana")
    check_roles(peer("supervisor"), peer("reaction", "gw2"), "request", [order])


def test_a_gateway_answers_the_correlation_agent_of_its_node() -> None:
    check_roles(peer("reaction"), peer("correlation"), "inform", [block("gw1")])
    with pytest.raises(Refused, match="role"):
        check_roles(peer("reaction"), peer("correlation", "gw2"), "inform", [block("gw1")])


def test_a_gateway_speaks_of_its_own_kernel_only() -> None:
    own = GatewayAddresses(id="urn:uuid:9", node="gw1")
    check_roles(peer("reaction"), peer("supervisor", "gw2"), "inform", [own])
    with pytest.raises(Refused, match="another"):
        check_roles(peer("reaction", "gw2"), peer("supervisor"), "inform", [own])


def test_a_sensor_tells_every_archive_what_it_saw_itself() -> None:
    one = ObservedData(
        id="urn:uuid:9",
        source=ip_address("192.0.2.66"),
        target=None,
        observed_port=22,
        begin_us=0,
        end_us=1,
        verified_source=True,
        sensor=peer("sensor").jid,
        input_kind="cowrie",
    )
    check_roles(peer("sensor"), peer("ontology", "gw2"), "inform", [one])
    for sender, receiver in (
        (peer("sensor", "gw2"), peer("ontology")),
        (peer("sensor"), peer("correlation")),
        (peer("analyzer"), peer("ontology")),
    ):
        with pytest.raises(Refused, match="role"):
            check_roles(sender, receiver, "inform", [one])


@pytest.mark.parametrize("performative", ["inform", "agree", "propose", "query-ref"])
def test_an_order_is_a_request(performative: str) -> None:
    with pytest.raises(Refused, match="role"):
        check_roles(peer("supervisor"), peer("reaction"), performative, [DECISION])


@pytest.mark.parametrize("role", ROLES)
def test_only_the_supervisor_has_clusters_renamed(role: str) -> None:
    wanted = TrafficCluster(
        id="urn:ontoidps:cluster:00:0",
        model_digest="0" * 64,
        cluster_number=0,
        cluster_name="own scanner",
        traffic_class="Normal",
        purity=1.0,
        radius=1.0,
        member_count=1,
        case_count=0,
    )
    for performative, receiver in (("request", "ontology"), ("inform", "analyzer")):
        if (role, performative) in (("supervisor", "request"), ("ontology", "inform")):
            check_roles(peer(role), peer(receiver), performative, [wanted])
        else:
            with pytest.raises(Refused, match="role"):
                check_roles(peer(role), peer(receiver), performative, [wanted])


ACTION = BanAction(
    id="urn:uuid:1", ban_action="lift", ban="urn:uuid:2", origin="user:ana", reason="x"
)
LINE = AuditLine(
    id="urn:uuid:1",
    line_number=0,
    audited_us=0,
    actor="user:ana",
    act="login",
    subject="ana",
    reason="",
    line_hash="",
)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("performative", "record"), [("request", ACTION), ("inform", LINE)])
def test_only_a_console_speaks_for_people(role: Role, performative: str, record: Record) -> None:
    if role == "console":
        check_roles(peer(role), peer("supervisor"), performative, [record])
    else:
        with pytest.raises(Refused, match="role"):
            check_roles(peer(role), peer("supervisor"), performative, [record])


def test_nobody_decides_in_the_name_of_a_person_but_the_supervisor() -> None:
    theirs = replace(DECISION, origin="user:ana")
    check_roles(peer("supervisor"), peer("reaction"), "request", [theirs])
    for role, receiver in (("correlation", "supervisor"), ("correlation", "ontology")):
        with pytest.raises(Refused, match="speaks for another"):
            how = "request" if receiver == "supervisor" else "inform"
            check_roles(peer(role), peer(receiver), how, [theirs])


@pytest.mark.parametrize(
    "record",
    [
        replace(LINE, actor="supervisor.gw1@honeynet.test"),
        replace(LINE, line_number=7),
        OntologyAction(id="urn:uuid:1", ontology_action="assert", fragment="", detail="me: x"),
    ],
)
def test_a_console_speaks_for_nobody_else(record: Record) -> None:
    how = "inform" if isinstance(record, AuditLine) else "request"
    with pytest.raises(Refused, match="speaks for another"):
        check_roles(peer("console"), peer("supervisor"), how, [record])


def test_a_console_asks_the_supervisor_for_facts_and_not_the_ontology_agent() -> None:
    action = OntologyAction(
        id="urn:uuid:1", ontology_action="assert", fragment="", detail="user:ana: x"
    )
    check_roles(peer("console"), peer("supervisor"), "request", [action])
    with pytest.raises(Refused, match="may not assert facts"):
        check_roles(peer("console"), peer("ontology"), "request", [action])
    with pytest.raises(Refused, match="may not request Decision"):
        check_roles(peer("console"), peer("reaction"), "request", [DECISION])


def test_one_forbidden_record_among_allowed_ones_is_enough() -> None:
    with pytest.raises(Refused, match="Subscription"):
        check_roles(
            peer("supervisor"),
            peer("reaction"),
            "request",
            [DECISION, Subscription(id="urn:uuid:3", topic="Alert")],
        )


def test_answers_may_be_bare_and_orders_may_not() -> None:
    check_roles(peer("reaction"), peer("supervisor"), "agree", [])
    with pytest.raises(Refused, match="without a record"):
        check_roles(peer("supervisor"), peer("reaction"), "request", [])


def test_a_gateway_speaks_for_itself_only() -> None:
    check_roles(peer("reaction", "gw2"), peer("supervisor"), "inform", [block("gw2")])
    with pytest.raises(Refused, match="speaks for another"):
        check_roles(peer("reaction", "gw2"), peer("supervisor"), "inform", [block("gw1")])


@pytest.mark.parametrize(
    "claim",
    [
        {"name": "supervisor.gw1@honeynet.test"},
        {"role": "supervisor"},
        {"node": "gw2"},
    ],
)
def test_registration_of_another_is_refused(claim: dict[str, str]) -> None:
    fields = {"name": "sensor.gw1@honeynet.test", "role": "sensor", "node": "gw1"}

    def entry(changes: dict[str, str]) -> list[Record]:
        return [
            AgentDescription(
                id="urn:uuid:4",
                services=(),
                ontology_version="1",
                lease_s=15,
                **(fields | changes),
            )
        ]

    check_roles(peer("sensor"), peer("supervisor"), "request", entry({}))
    with pytest.raises(Refused, match="speaks for another"):
        check_roles(peer("sensor"), peer("supervisor"), "request", entry(claim))


def test_the_table_names_real_roles() -> None:
    for senders, _, _, receivers in PERMITTED:
        assert senders | receivers <= set(ROLES)


def test_an_analyzer_signs_its_own_findings() -> None:
    mine, other = peer("analyzer"), peer("analyzer", "gw2")
    check_roles(mine, peer("correlation"), "inform", [finding(mine.jid)])
    with pytest.raises(Refused, match="speaks for another"):
        check_roles(mine, peer("correlation"), "inform", [finding(other.jid)])
    # Correlation passes on what analyzers found.
    check_roles(peer("correlation"), peer("supervisor"), "inform", [finding(other.jid)])


def test_a_sensor_reports_what_others_found_in_its_own_name_to_its_own_analyzer() -> None:
    alert = finding("sensor.gw1@honeynet.test")
    own = replace(alert, sensor="sensor.gw1@honeynet.test")
    check_roles(peer("sensor"), peer("analyzer"), "inform", [own])
    with pytest.raises(Refused, match="speaks for another"):
        check_roles(peer("sensor"), peer("analyzer"), "inform", [alert])
    with pytest.raises(Refused, match="another node"):
        check_roles(peer("sensor"), peer("analyzer", "gw2"), "inform", [own])
    with pytest.raises(Refused, match="may not"):
        check_roles(peer("sensor"), peer("correlation"), "inform", [own])


def test_what_happened_on_a_host_goes_from_its_sensor_to_the_archive() -> None:
    event = HostEvent(
        id="urn:uuid:3",
        event_kind="login",
        host=IPv4Address("192.0.2.1"),
        begin_us=0,
        sensor="sensor.gw1@honeynet.test",
    )
    check_roles(peer("sensor"), peer("analyzer"), "inform", [event])
    check_roles(peer("analyzer"), peer("ontology"), "inform", [event])
    other = replace(event, sensor="sensor.gw2@honeynet.test")
    for sender, receiver, record in (
        (peer("sensor"), peer("analyzer"), other),
        (peer("sensor"), peer("analyzer", "gw2"), event),
        (peer("sensor"), peer("ontology"), event),
        (peer("analyzer"), peer("correlation"), event),
    ):
        with pytest.raises(Refused):
            check_roles(sender, receiver, "inform", [record])


def test_a_console_tells_an_analyzer_of_foreign_alerts_in_its_own_name_only() -> None:
    console = peer("console")
    honest = make_alert(sensor=console.jid)
    check_roles(console, peer("analyzer", "gw2"), "inform", [honest])
    with pytest.raises(Refused, match="speaks for another in Alert"):
        check_roles(console, peer("analyzer"), "inform", [make_alert(sensor=peer("sensor").jid)])
    with pytest.raises(Refused):
        check_roles(console, peer("correlation"), "inform", [honest])
