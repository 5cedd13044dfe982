"""`HostEvent` in the ontology: the words of the record, and of an alert that rests on one."""

from __future__ import annotations

from ipaddress import ip_address

from ontology.fragments import decode, encode
from ontology.host_event import MAX_TEXT, HostEvent
from ontology.vocabulary import IDPS
from tests.factories import T0, make_alert

EVENT = HostEvent(
    id="urn:uuid:00000000-0000-5000-8000-000000000007",
    event_kind="connection",
    host=ip_address("198.51.100.18"),
    source=ip_address("192.0.2.66"),
    target=ip_address("203.0.113.9"),
    target_port=80,
    begin_us=T0,
    user_name="root",
    process_id=902,
    program="/home/x",
    command_line="x" * MAX_TEXT,
    sensor="sensor.gw1@honeynet.test",
)


def test_an_alert_names_its_events_in_words_of_the_ontology() -> None:
    alert = make_alert(host_events=(EVENT.id,))
    text = encode([EVENT, alert])
    assert f"idps:{IDPS.restsOnHostEvent.local_name} <{EVENT.id}>" in text
    for name in ("observedOnHost", "processId", "program", "userName", "eventKind"):
        assert f"idps:{name} " in text
    assert decode(text) == (EVENT, alert)
