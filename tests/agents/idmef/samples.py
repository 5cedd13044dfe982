"""Alerts of ours, and messages as others send them."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

from ontology.records import Alert, Incident

AT_US = 1_790_000_000_000_000


def alert(**values: Any) -> Alert:
    known: dict[str, Any] = {
        "id": "urn:uuid:7a5f0a4e-6a1b-4c55-8d0c-1d2f3a4b5c6d",
        "classification": "SynScan",
        "source": ip_address("192.0.2.66"),
        "target": ip_address("198.51.100.18"),
        "target_port": 22,
        "protocol": 6,
        "begin_us": AT_US,
        "end_us": AT_US + 2_500_001,
        "confidence": 0.8,
        "verified_source": True,
        "sensor": "sensor.gw1@honeynet.localdomain",
        "analyzer": "analyzer.gw1@honeynet.localdomain",
        "explanation": "SYN to 40 ports",
    }
    return Alert(**{**known, **values})


def incident(**values: Any) -> Incident:
    known: dict[str, Any] = {
        "id": "urn:uuid:0b5f0a4e-6a1b-4c55-8d0c-1d2f3a4b5c6d",
        "classification": "ScanThenBruteForceIncident",
        "source": ip_address("192.0.2.66"),
        "targets": (ip_address("198.51.100.18"), ip_address("198.51.100.19")),
        "alerts": ("urn:uuid:7a5f0a4e-6a1b-4c55-8d0c-1d2f3a4b5c6d",),
        "rule": "ScanThenBruteForce",
        "begin_us": AT_US,
        "end_us": AT_US + 1,
        "severity": 0.8,
        "verified_source": True,
        "explanation": "a scan, then guesses",
    }
    return Incident(**{**known, **values})


def document(**values: Any) -> dict[str, Any]:
    """As a manager of others writes one."""
    known: dict[str, Any] = {
        "Version": "2.D.V08",
        "ID": "819df7bc-35ef-40d8-bbee-1901117370b2",
        "CreateTime": "2026-09-21T12:00:00.5Z",
        "Category": ["Recon.Network"],
        "Description": "TCP port scan",
        "Confidence": 0.9,
        "Priority": "Medium",
        "Analyzer": {"Name": "prelude-nids"},
        "Source": [
            {
                "ID": "519df7bc-35ef-40d8-bbee-1901117370b2",
                "IP": "192.0.2.66",
                "Protocol": ["TCP"],
            }
        ],
        "Target": [
            {"ID": "619df7bc-35ef-40d8-bbee-1901117370b2", "IP": "198.51.100.18", "Port": [22]}
        ],
    }
    return {name: value for name, value in {**known, **values}.items() if value is not None}


def lines(*some: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in some)


PRELUDE = """<?xml version="1.0" encoding="UTF-8"?>
<idmef:IDMEF-Message xmlns:idmef="http://iana.org/idmef" version="1.0">
  <idmef:Alert messageid="d2e71bf2-4e65-11e0">
    <idmef:Analyzer analyzerid="2167" name="prelude-manager" model="Prelude Manager"
        manufacturer="http://www.prelude-ids.com" class="Concentrator">
      <idmef:Analyzer analyzerid="2168" name="snort" model="Snort" class="NIDS">
        <idmef:Node category="hosts"><idmef:name>wire</idmef:name></idmef:Node>
      </idmef:Analyzer>
    </idmef:Analyzer>
    <idmef:CreateTime ntpstamp="0xee5b9ac0.0x80000000">2026-09-21T12:00:00.5Z</idmef:CreateTime>
    <idmef:Source spoofed="unknown">
      <idmef:Node category="unknown">
        <idmef:Address category="ipv4-addr"><idmef:address>192.0.2.66</idmef:address>
        </idmef:Address>
      </idmef:Node>
      <idmef:Service ip_version="4" iana_protocol_number="6" iana_protocol_name="tcp">
        <idmef:port>41000</idmef:port>
      </idmef:Service>
    </idmef:Source>
    <idmef:Target decoy="unknown">
      <idmef:Node category="unknown">
        <idmef:Address category="ipv4-addr">
          <idmef:address>198.51.100.18</idmef:address>
        </idmef:Address>
      </idmef:Node>
      <idmef:User category="os-device">
        <idmef:UserId type="target-user"><idmef:name>root</idmef:name></idmef:UserId>
      </idmef:User>
      <idmef:Service iana_protocol_number="6"><idmef:port>22</idmef:port></idmef:Service>
    </idmef:Target>
    <idmef:Classification ident="1:2001219" text="ET SCAN Potential SSH port scan">
      <idmef:Reference origin="cve"><idmef:name>CVE-2018-15473</idmef:name><idmef:url/>
      </idmef:Reference>
    </idmef:Classification>
    <idmef:Assessment>
      <idmef:Impact severity="medium" completion="failed" type="recon">probing</idmef:Impact>
      <idmef:Confidence rating="numeric">0.9</idmef:Confidence>
    </idmef:Assessment>
    <idmef:AdditionalData type="integer" meaning="ip_ttl">
      <idmef:integer>52</idmef:integer>
    </idmef:AdditionalData>
  </idmef:Alert>
  <idmef:Alert messageid="d2e71bf3">
    <idmef:Analyzer name="sshd-lml"/>
    <idmef:CreateTime>2026-09-21T12:00:01Z</idmef:CreateTime>
    <idmef:Source><idmef:Node><idmef:Address category="ipv6-addr">
      <idmef:address>2001:db8::66</idmef:address></idmef:Address></idmef:Node></idmef:Source>
    <idmef:Target><idmef:Node><idmef:Address>
      <idmef:address>2001:db8:1::18</idmef:address></idmef:Address></idmef:Node>
      <idmef:Service><idmef:name>ssh</idmef:name><idmef:port>22</idmef:port>
      <idmef:protocol>tcp</idmef:protocol></idmef:Service></idmef:Target>
    <idmef:Classification text="Remote Login">
    </idmef:Classification>
    <idmef:Assessment>
      <idmef:Impact severity="high">Failed login for invalid user admin</idmef:Impact>
    </idmef:Assessment>
  </idmef:Alert>
  <idmef:Heartbeat><idmef:Analyzer name="x"/><idmef:CreateTime>2026-09-21T12:00:01Z
  </idmef:CreateTime></idmef:Heartbeat>
</idmef:IDMEF-Message>
"""
