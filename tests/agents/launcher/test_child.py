import json
import socket
from typing import Any

import pytest

from agents.base.health import LAST_WORDS, say_last
from agents.launcher.child import Child


def child() -> Child:
    return Child("sensor", "gw1", "sensor.gw1@ontoidps.local", state="starting")


def answer(**more: Any) -> bytes:
    return json.dumps({"connected": True, "counters": {}, "conditions": []} | more).encode()


def condition(level: str) -> dict[str, Any]:
    return {"name": "a", "level": level, "reason": "why", "since_us": 1, "numbers": {}}


def test_running_is_said_only_of_an_agent_that_does_its_work() -> None:
    one = child()
    assert one.as_json()["state"] == "starting"
    one.hear(answer())
    assert one.as_json()["state"] == "running"
    one.hear(answer(conditions=[condition("warning")]))
    assert one.as_json()["state"] == "running"
    one.hear(answer(conditions=[condition("degraded")]))
    assert one.as_json()["state"] == "degraded" and one.as_json()["connected"]
    one.hear(answer())
    assert one.as_json()["state"] == "running"


@pytest.mark.parametrize(
    "line", [b"[]", b"7", b"nonsense", b'{"conditions": 5}', b'{"conditions": [{"name": 1}]}']
)
def test_what_is_no_answer_changes_nothing(line: bytes) -> None:
    """An agent may be in an attacker's hands; the launcher is not."""
    one = child()
    with pytest.raises(ValueError):
        one.hear(line)
    assert one.as_json()["state"] == "starting"


def test_why_a_process_ended_is_kept_until_the_next_one_works() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    one = child()
    with ours, theirs:
        say_last(theirs, OSError(28, "No space left on device", "/state/mail.sqlite3"))
        one.hear_the_rest(ours)
        assert one.as_json()["last_words"] == (
            "[Errno 28] No space left on device: '/state/mail.sqlite3'"
        )
        one.hear_the_rest(ours)  # nothing more
        theirs.send(b"half a line " + LAST_WORDS.encode())
        one.hear_the_rest(ours)
    one.hear(answer())
    assert one.as_json()["last_words"] == ""
