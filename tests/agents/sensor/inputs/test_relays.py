"""Who forwards for others is not blamed for them, and whom he names isn't either."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.registry import make_parser
from agents.sensor.inputs.relays import MAX_FLOWS, Relays

RELAY = "192.0.2.66"  # as the alert of `lines` has it
CLAIMED = "203.0.113.60"


def with_claim(event: dict[str, Any], way: str, value: str = CLAIMED) -> dict[str, Any]:
    match way:
        case "xff":
            return event | {"xff": value}
        case "http":
            return event | {"http": {"xff": value}}
        case "headers":
            fields = [{"name": "Host", "value": "x"}, {"name": "X-Forwarded-For", "value": value}]
            return event | {"http": {"request_headers": fields}}
    raise AssertionError(way)


@pytest.mark.parametrize("way", ["xff", "http", "headers"])
def test_a_relays_alert_is_unverified_and_names_the_claim(parse: Any, lines: Any, way: str) -> None:
    event = json.loads(lines["eve"][0])
    assert parse("eve", json.dumps(event)).alerts[0].verified_source
    (alert,) = parse("eve", json.dumps(with_claim(event, way))).alerts
    assert (str(alert.source), alert.verified_source) == (RELAY, False)
    assert f"{RELAY} is a relay, in the name of {CLAIMED}, a claim" in alert.explanation


def flow_of(event: dict[str, Any]) -> dict[str, Any]:
    kept = {k: event[k] for k in ("src_ip", "src_port", "dest_ip", "dest_port", "proto", "flow_id")}
    return kept | {
        "timestamp": event["timestamp"],
        "event_type": "flow",
        "flow": {"pkts_toserver": 6, "pkts_toclient": 5, "bytes_toserver": 900,
                 "bytes_toclient": 900, "start": event["timestamp"], "end": event["timestamp"]},
        "tcp": {"tcp_flags_ts": "1b", "tcp_flags_tc": "1b"},
    }  # fmt: skip


def test_nor_is_his_flow_a_connection_of_his(parse: Any, lines: Any, honeypot: str) -> None:
    event = json.loads(lines["eve"][0]) | {"dest_ip": honeypot}
    http = with_claim(event | {"event_type": "http"}, "http")
    seen = parse("eve", json.dumps(http), json.dumps(flow_of(event)))
    assert len(seen.rows) == 0
    (alert,) = seen.alerts
    assert (alert.classification, alert.verified_source) == ("HoneypotContact", False)
    # The same visitor directly: what he does is his.
    alone = parse("eve", json.dumps(flow_of(event)))
    assert (len(alone.rows), alone.alerts) == (1, [])


def test_what_a_relay_does_elsewhere_is_his_own(parse: Any, lines: Any) -> None:
    event = json.loads(lines["eve"][0])
    elsewhere = event | {"flow_id": 2, "dest_port": 8080}
    seen = parse("eve", json.dumps(with_claim(event, "xff")), json.dumps(elsewhere))
    assert {a.target_port: a.verified_source for a in seen.alerts} == {80: False, 8080: True}
    # At the same service without a word: probably his health check, perhaps not his.
    silent = parse("eve", json.dumps(with_claim(event, "xff")), json.dumps(event | {"flow_id": 2}))
    assert not any(a.verified_source for a in silent.alerts)


def test_who_names_himself_is_no_relay(parse: Any, lines: Any) -> None:
    event = with_claim(json.loads(lines["eve"][0]), "xff", RELAY)
    assert parse("eve", json.dumps(event)).alerts[0].verified_source


def test_a_claim_is_shown_printable(parse: Any, lines: Any) -> None:
    event = with_claim(json.loads(lines["eve"][0]), "xff", "\x1b[2J\n" + "z" * 5000)
    (alert,) = parse("eve", json.dumps(event)).alerts
    assert alert.explanation.isprintable() and len(alert.explanation) < 400


def test_memory_is_bounded_and_comes_back(lines: Any) -> None:
    relays = Relays()
    for number in range(5000):
        claimed = f"2001:db8:aaaa:bbbb:cccc:dddd:eeee:{number:x}"
        place = f"2001:db8:aaaa:bbbb:cccc:dddd:ffff:{number:x}"
        relays.judge(place, (place, 80), 10**18 + number, claimed)
    assert len(relays.memory()) < 65_536
    again = Relays()
    again.remember(relays.memory())
    assert again.memory() == relays.memory()
    assert again.judge("x", None, 10**18 + 4999, None) is not None
    assert again.judge("x", None, 10**18 + 4999 - MAX_FLOWS, None) is None
    first, second = (make_parser("eve", Options()) for _ in range(2))
    event = json.loads(lines["eve"][0])
    list(first.on_line(json.dumps(with_claim(event, "xff")).encode()))
    second.remember(first.memory())
    (claim,) = second.on_line(json.dumps(event).encode())
    assert not claim.verified  # type: ignore[union-attr]
