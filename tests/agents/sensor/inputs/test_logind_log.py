"""systemd-logind's sessions in syslog and journal are events of the host."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import FromLog, Intake
from agents.sensor.inputs.logind_log import MAX_SESSIONS
from agents.sensor.inputs.registry import make_parser
from ontology.records import HostEvent

HEAD = "Nov 16 12:11:24 gw systemd-logind[655]: "
NOW_US = 1_795_000_000_000_000


def intake() -> Intake:
    options = Options(address=ip_address("198.51.100.18"))
    return Intake(make_parser("syslog", options), sensor="sensor")


def told(records: list[FromLog]) -> list[tuple[str, str, str]]:
    events = [record for record in records if isinstance(record, HostEvent)]
    assert {str(event.host) for event in events} <= {"198.51.100.18"}
    return [(event.event_kind, event.session_name, event.user_name) for event in events]


@pytest.mark.parametrize(
    ("new", "user"),
    [
        ("New session 5 of user bob.", "bob"),
        ("New session '5' of user 'bob.b' with class 'user' and type 'tty'.", "bob.b"),
        ("New session 5 of user 'a b'.", None),
        ("New session 5 of user ", None),
        ("New session '5' of user 'gdm' with class 'greeter' and type 'x11'.", ""),
    ],
)
def test_a_session_begins_and_ends_also_across_a_restart(new: str, user: str | None) -> None:
    first = intake()
    begun = told(first.on_lines([(HEAD + new).encode()], "a", NOW_US))
    assert begun == ([("login", "5", user)] if user else [])
    assert first.counters["refused.shape"] == (user is None)
    second = intake()
    second.parser.remember(first.parser.memory())
    ended = told(second.on_lines([f"{HEAD}Removed session 5.".encode()] * 2, "b", NOW_US))
    assert ended == ([("logout", "5", user)] if user else [])


def test_the_journal_as_json_and_what_is_kept_is_bounded() -> None:
    one = intake()
    lines = [
        json.dumps(
            {
                "__REALTIME_TIMESTAMP": "1763295084000000",
                "SYSLOG_IDENTIFIER": "systemd-logind",
                "MESSAGE": f"New session c{number} of user {'x' * 64}.",
            }
        ).encode()
        for number in range(MAX_SESSIONS + 1)
    ]
    records = told(one.on_lines(lines, "a", NOW_US))
    assert records[0] == ("login", "c0", "x" * 64) and len(one.parser.memory()) < 65_536
    other = intake()
    other.parser.remember(one.parser.memory())
    gone = [f"{HEAD}Removed session c{n}.".encode() for n in (0, 1)]
    assert told(other.on_lines(gone, "b", NOW_US)) == [("logout", "c1", "x" * 64)]
