"""Records refuse values out of range; what they hold is tested by the codec's round trips."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_address
from typing import Any, get_args

import numpy as np
import pytest

from ontology import oversight as o
from ontology import records as r

TARGET = ip_address("192.0.2.1")
VALID: dict[type, dict[str, Any]] = {
    r.ConnectionBatch: {
        "sensor": "s",
        "begin_us": 0,
        "end_us": 1,
        "packets": 0,
        "dropped": 0,
        "malformed": 0,
        "connections": np.zeros(2, r.CONNECTION),
    },
    r.Alert: {
        "classification": "SynScan",
        "source": TARGET,
        "target": TARGET,
        "protocol": 6,
        "begin_us": 0,
        "end_us": 1,
        "confidence": 1.0,
        "verified_source": True,
        "sensor": "s",
        "analyzer": "a",
        "explanation": "",
    },
    r.Incident: {
        "classification": "FloodIncident",
        "source": None,
        "targets": (TARGET,),
        "alerts": (),
        "rule": "FloodOnHost",
        "begin_us": 0,
        "end_us": 1,
        "severity": 0.0,
        "verified_source": False,
        "explanation": "",
    },
    r.Decision: {
        "action": "block",
        "source": TARGET,
        "classification": "Manual",
        "origin": "user:me",
        "decided_us": 0,
        "duration_s": 60,
        "reason": "",
    },
    r.Block: {
        "decision": "urn:uuid:2",
        "gateway": "gw1",
        "source": TARGET,
        "state": "active",
        "since_us": 0,
        "expires_us": 0,
    },
    r.HostProfile: {"address": TARGET, "roles": ("Honeypot",)},
    r.HostEvent: {"event_kind": "login", "host": TARGET, "begin_us": 0, "sensor": "s"},
    r.BlocksInForce: {"node": "gw1", "part_digests": "0" * 4096},
    r.GatewayAddresses: {"node": "gw1", "own_addresses": (TARGET,)},
    r.ObservedData: {
        "source": TARGET,
        "target": None,
        "observed_port": 22,
        "begin_us": 0,
        "end_us": 1,
        "verified_source": True,
        "sensor": "s",
        "input_kind": "cowrie",
        "credentials": ("root:1234",),
    },
    r.AgentDescription: {
        "name": "sensor.gw1@example.org",
        "role": "sensor",
        "node": "gw1",
        "services": (),
        "ontology_version": "1.0.0",
        "lease_s": 15,
    },
    r.Subscription: {"topic": "Alert"},
    r.OntologyChanged: {"version": "1.0.0", "changed_us": 0},
    r.KnowledgePiece: {
        "announcement": "urn:uuid:2",
        "file_name": "correlation.owl",
        "piece_number": 1,
        "piece_count": 1,
        "file_bytes": 0,
        "digest": "0" * 64,
        "data": "",
    },
    r.TrafficCluster: {
        "model_digest": "0" * 64,
        "cluster_number": 0,
        "cluster_name": "SynScan (cluster 0)",
        "traffic_class": "SynScan",
        "purity": 1.0,
        "radius": 0.5,
        "member_count": 1,
        "case_count": 0,
    },
    r.OntologyAction: {"ontology_action": "translate", "fragment": ""},
    r.PacketEvidence: {
        "alert": "urn:uuid:2",
        "evidence_packets": 2,
        "cited_packet": 1,
        "omitted_packets": 0,
        "dissection": "###[ IP ]###",
        "capture_data": "",
        "explanation": "2 packets",
    },
    r.Query: {"sparql": "ASK {}"},
    r.Answer: {"query": "urn:uuid:2", "results": "{}"},
    o.FeedPart: {
        "feed": "f",
        "part_number": 1,
        "opens_snapshot": True,
        "closes_snapshot": False,
    },
    o.Ban: {
        "source": TARGET,
        "cause": "urn:uuid:2",
        "decision": "urn:uuid:2",
        "ban_state": "active",
        "since_us": 0,
        "expires_us": 0,
    },
    o.Ruling: {
        "decision": "urn:uuid:2",
        "ban": None,
        "outcome": "refused",
        "detail": "",
        "received_us": 0,
    },
    o.Receipt: {"received": ("urn:uuid:2",), "received_us": 0},
    o.AuditLine: {
        "line_number": 1,
        "audited_us": 0,
        "actor": "user:me",
        "act": "login",
        "subject": "me",
        "reason": "",
        "line_hash": "",
    },
    o.AgentStatus: {
        "agent": "urn:uuid:2",
        "agent_state": "up",
        "since_us": 0,
        "renewed_us": 0,
    },
    o.BanAction: {
        "ban_action": "lift",
        "ban": "urn:uuid:2",
        "origin": "user:me",
        "reason": "",
    },
}


def make(kind: type, /, **changes: Any) -> Any:
    return kind(**{"id": "urn:uuid:1"} | VALID[kind] | changes)


def test_every_kind_of_record_is_covered() -> None:
    assert set(VALID) == set(get_args(r.Record))


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
def test_records_are_frozen_and_equal_by_value(kind: type) -> None:
    record = make(kind)
    assert record == make(kind)
    assert hash(record) == hash(make(kind))
    assert record != make(kind, id="urn:uuid:9")
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.id = "urn:uuid:3"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (r.ConnectionBatch, {"begin_us": -1}),
        (r.ConnectionBatch, {"end_us": r.MAX_TIME_US + 1}),
        (r.ConnectionBatch, {"connections": np.zeros(2)}),
        (r.ConnectionBatch, {"connections": np.zeros((1, 2), r.CONNECTION)}),
        (r.Alert, {"confidence": 1.01}),
        (r.Alert, {"confidence": float("nan")}),
        (r.Alert, {"target_port": 65536}),
        (r.Alert, {"stage": "grown"}),
        (r.Alert, {"end_us": -1}),
        (r.Incident, {"severity": -0.1}),
        (r.Decision, {"action": "drop"}),
        (r.Decision, {"duration_s": 0}),
        (r.Decision, {"duration_s": 366 * 86400 + 1}),
        (r.Block, {"state": "maybe"}),
        (r.TrafficCluster, {"traffic_class": "Foo"}),
        (r.TrafficCluster, {"cluster_name": ""}),
        (r.TrafficCluster, {"cluster_name": "two\nlines"}),
        (r.TrafficCluster, {"cluster_name": "backwards \u202e"}),
        (r.TrafficCluster, {"cluster_name": "x" * 81}),
        (r.TrafficCluster, {"cluster_number": -1}),
        (r.TrafficCluster, {"purity": 1.1}),
        (r.TrafficCluster, {"radius": float("inf")}),
        (r.Block, {"expires_us": -1}),
        (r.HostProfile, {"asset_value": 6}),
        (r.OntologyAction, {"ontology_action": "delete"}),
        (r.Decision, {"scope": "foreign"}),
        (r.GatewayAddresses, {"routers": (TARGET,) * 251}),
        (r.GatewayAddresses, {"logins": (TARGET,) * 251}),
        (r.Alert, {"host_events": ("urn:uuid:1",) * 17}),
        (r.HostEvent, {"event_kind": "reboot"}),
        (r.HostEvent, {"begin_us": -1}),
        (r.HostEvent, {"target_port": 65536}),
        (r.HostEvent, {"process_id": -1}),
        (r.HostEvent, {"command_line": "x" * 1001}),
        (r.HostProfile, {"open_ports": (70000,)}),
        (r.AgentDescription, {"role": "king"}),
        (o.FeedPart, {"part_number": 0}),
        (o.Ban, {"ban_state": "pending"}),
        (o.Ban, {"ended_us": -1}),
        (o.Ruling, {"received_us": -1}),
        (o.Receipt, {"received_us": -1}),
        (o.AuditLine, {"line_number": -1}),
        (o.AuditLine, {"audited_us": -1}),
        (o.AgentStatus, {"agent_state": "absent"}),
        (o.AgentStatus, {"renewed_us": -1}),
        (o.BanAction, {"ban_action": "forget"}),
        (o.BanAction, {"origin": "correlation.gw1@example.org"}),
        (o.BanAction, {"source": TARGET}),
        (o.BanAction, {"ban": None}),
        (o.BanAction, {"duration_s": 5, "ban_action": "approve"}),
        (o.BanAction, {"duration_s": 0, "ban_action": "shorten"}),
        (o.BanAction, {"duration_s": -1}),
        (o.BanAction, {"outcome": "pending"}),
        (r.OntologyChanged, {"kind": "news"}),
        (r.OntologyChanged, {"piece_count": -1}),
        (r.OntologyChanged, {"changed_us": -1}),
        (r.KnowledgePiece, {"piece_number": 0}),
        (r.KnowledgePiece, {"piece_number": 2}),
        (r.KnowledgePiece, {"file_bytes": -1}),
    ],
)
def test_records_refuse(kind: type, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        make(kind, **changes)


def test_batches_with_other_connections_differ() -> None:
    other = np.zeros(2, r.CONNECTION)
    other["src_port"] = 1
    assert make(r.ConnectionBatch) != make(r.ConnectionBatch, connections=other)


def test_an_unblock_needs_no_duration() -> None:
    assert make(r.Decision, action="unblock", duration_s=0).duration_s == 0
