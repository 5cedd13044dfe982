from ipaddress import ip_address

from ontology.json_objects import iso_time, json_object
from tests.factories import make_alert, make_decision


def test_time_keeps_its_microseconds() -> None:
    assert iso_time(1_231_009_114_958_375) == "2009-01-03T18:58:34.958375Z"


def test_alert_says_who_what_when_and_why_first() -> None:
    alert = make_alert(
        id="urn:uuid:1",
        classification="SynScan",
        source="2001:db8::7",
        target=None,
        targets=(ip_address("192.0.2.1"), ip_address("192.0.2.2")),
        begin_us=1,
        end_us=2_000_000,
        confidence=0.9,
        verified_source=False,
        explanation="many ports",
    )
    line = json_object(alert)
    assert list(line)[:6] == ["type", "source", "target", "class", "time", "explanation"]
    assert line["type"] == "alert" and line["class"] == "SynScan"
    assert line["source"] == "2001:db8::7" and line["target"] is None
    assert line["targets"] == ["192.0.2.1", "192.0.2.2"]
    assert line["time"] == "1970-01-01T00:00:02.000000Z"


def test_decision_has_its_action_and_duration() -> None:
    decision = make_decision(
        id="urn:uuid:2",
        source="192.0.2.9",
        classification="Manual",
        origin="user:me",
        decided_us=0,
        duration_s=60,
    )
    line = json_object(decision)
    assert (line["type"], line["action"], line["duration_s"]) == ("decision", "block", 60)
    assert line["explanation"] == "because"
