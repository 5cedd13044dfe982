import json

import re2

from agents.sensor.inputs.events import UNRELATED
from agents.sensor.inputs.text_lines import TextLines


def test_groups_of_plain_and_wrapped_lines() -> None:
    lines = TextLines(re2.compile(rb"(?P<who>\S+) at (?P<port>\d+)?"))
    assert lines.read(b"x at 22") == {"who": "x", "port": "22"}
    wrapped = json.dumps({"message": "\xfc at "}).encode()
    assert lines.read(wrapped) == {"who": "\xfc", "port": None}
    assert lines.read(b"{") is lines.read(b"x") is UNRELATED


def test_the_quick_way_comes_first_where_it_is_sure() -> None:
    lines = TextLines(
        re2.compile(rb"(?P<who>\S+)"), lambda line: {"who": "me"} if line == b"quick" else None
    )
    assert [lines.read(one)["who"] for one in (b"quick", b"slow")] == ["me", "slow"]
