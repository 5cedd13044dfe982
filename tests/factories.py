"""Records for tests: `make_alert` and its like give a valid record; a test says what matters to it.

``from tests.factories import make_alert``. Addresses may be text. Ids are the same in every run.
Documentation addresses only: strangers 192.0.2.0/24, own hosts 198.51.100.0/24.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from numpy.typing import NDArray

from datasets.captures.capture_files import PADDING, RawPackets
from ontology.host_profile import HostProfile
from ontology.records import (
    CONNECTION,
    CONNECTION_STATES,
    Address,
    Alert,
    ConnectionBatch,
    Decision,
    Incident,
)

T0 = 1_700_000_000_000_000
"""Microseconds since the epoch: when everything happens that has no time of its own."""
ATTACKER, VICTIM = "192.0.2.66", "198.51.100.18"
CORRELATION = "correlation.gw1@honeynet.test"
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}


def record_id(name: object) -> str:
    """A record id: ``urn:uuid:…`` of a number is that number, of a name a digest of it."""
    if isinstance(name, int):
        return f"urn:uuid:{name:032x}"
    return uuid5(NAMESPACE_OID, str(name)).urn


def _parsed(values: dict[str, Any]) -> dict[str, Any]:
    """Addresses that are given as text, as addresses."""
    for name in ("source", "target", "address"):
        if isinstance(values.get(name), str):
            values[name] = ip_address(values[name])
    for name in ("sources", "targets"):
        if name in values:
            values[name] = tuple(
                ip_address(item) if isinstance(item, str) else item for item in values[name]
            )
    return values


def make_alert(**changes: Any) -> Alert:
    """A SYN scan of ATTACKER at VICTIM at T0, its source not verified."""
    values: dict[str, Any] = {
        "id": record_id(1),
        "classification": "SynScan",
        "source": ATTACKER,
        "target": VICTIM,
        "protocol": 6,
        "begin_us": T0,
        "confidence": 0.9,
        "verified_source": False,
        "sensor": "sensor.gw1@honeynet.test",
        "analyzer": "analyzer.gw1@honeynet.test",
        "explanation": "because",
    } | changes
    return Alert(**_parsed({"end_us": values["begin_us"]} | values))


def make_incident(**changes: Any) -> Incident:
    """Pellet's conclusion from the alert that `make_alert` makes."""
    values: dict[str, Any] = {
        "id": record_id("incident"),
        "classification": "ScanThenBruteForceIncident",
        "source": ATTACKER,
        "targets": (VICTIM,),
        "alerts": (record_id(1),),
        "rule": "ScanThenBruteForce",
        "begin_us": T0,
        "severity": 0.8,
        "verified_source": True,
        "explanation": "because",
    } | changes
    return Incident(**_parsed({"end_us": values["begin_us"]} | values))


def make_decision(**changes: Any) -> Decision:
    """Correlation blocks ATTACKER for 15 minutes; ``action="unblock"`` lifts that."""
    values: dict[str, Any] = {
        "id": record_id("decision"),
        "action": "block",
        "source": ATTACKER,
        "classification": "ScanThenBruteForceIncident",
        "origin": CORRELATION,
        "decided_us": T0,
        "reason": "because",
    } | changes
    return Decision(**_parsed({"duration_s": 900 if values["action"] == "block" else 0} | values))


def make_profile(address: str | Address = VICTIM, *roles: str, **changes: Any) -> HostProfile:
    """What is known of a host: its roles, ``Honeypot`` if none are named."""
    values: dict[str, Any] = {"id": f"urn:ontoidps:profile:{address}", "address": address}
    return HostProfile(**_parsed(values | {"roles": roles or ("Honeypot",)} | changes))


def packed(address: str | Address) -> NDArray[np.uint8]:
    """Sixteen bytes, IPv4 as ``::ffff:…``, as connection records hold them."""
    parsed = ip_address(address)
    if parsed.version == 4:
        parsed = IPv6Address(f"::ffff:{parsed}")
    return np.frombuffer(parsed.packed, np.uint8)


def make_connection(**row: Any) -> NDArray[np.void]:
    """One row of `CONNECTION`: an unanswered SYN from ATTACKER to port 80 of VICTIM at T0.

    ``at`` and ``duration`` are seconds (after T0), flags are letters (``"SA"``), ``state`` a name;
    everything else is a column. An established one is a proven conversation, unless
    ``conversation`` says otherwise.
    """
    out = np.zeros(1, CONNECTION)
    values: dict[str, Any] = {
        "at": 0.0,
        "duration": 0.0,
        "src": ATTACKER,
        "dst": VICTIM,
        "src_port": 40000,
        "dst_port": 80,
        "protocol": 6,
        "state": "S0",
        "orig_flags": "S",
        "resp_flags": "",
        "orig_packets": 1,
    } | row
    out["ip_version"] = ip_address(values["src"]).version
    out["start_us"] = T0 + round(values.pop("at") * 1e6)
    out["duration_us"] = round(values.pop("duration") * 1e6)
    for name in ("src", "dst"):
        out[name] = packed(values.pop(name))
    out["state"] = CONNECTION_STATES.index(values.pop("state"))
    for name in ("orig_flags", "resp_flags"):
        out[name] = sum(FLAGS[letter] for letter in values.pop(name))
    values.setdefault("conversation", int(_established(out)))
    for name, value in values.items():
        out[name] = value
    return out


def _established(row: NDArray[np.void]) -> bool:
    """What a sensor that saw all of it calls a conversation."""
    named = CONNECTION_STATES[int(row["state"][0])] in ("S1", "SF", "RSTO", "RSTR")
    return named and bool(row["orig_flags"][0] & FLAGS["A"] and row["resp_flags"][0] & FLAGS["S"])


def make_batch(
    rows: Iterable[NDArray[np.void]] | NDArray[np.void], **changes: Any
) -> ConnectionBatch:
    """A sensor's batch of rows (or parts of tables) in the order of their start, maybe of none."""
    parts = [rows] if isinstance(rows, np.ndarray) else list(rows)
    table = np.concatenate(parts) if parts else np.zeros(0, CONNECTION)
    table = table[np.argsort(table["start_us"], kind="stable")]
    values: dict[str, Any] = {
        "id": record_id(table.tobytes().hex()),
        "sensor": "sensor.gw1@honeynet.test",
        "begin_us": int(table["start_us"][0]) if len(table) else T0,
        "end_us": int((table["start_us"] + table["duration_us"]).max()) if len(table) else T0,
        "packets": len(table),
        "dropped": 0,
        "malformed": 0,
        "connections": table,
    }
    return ConnectionBatch(**(values | changes))


def make_packets(*frames: bytes, times_us: Iterable[int] = (), link_type: int = 1) -> RawPackets:
    """Frames as a capture gives them, a millisecond apart from T0 on if no times are named."""
    lengths = np.array([len(frame) for frame in frames], np.int64)
    times = np.array([*times_us] or [T0 + 1000 * n for n in range(len(frames))], np.int64)
    data = np.frombuffer(b"".join((*frames, bytes(PADDING))), np.uint8)
    return RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths, times, link_type)
