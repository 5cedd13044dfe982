"""Every parser against every line: it is understood or refused, nothing else, and never slowly.

Longer: ``ONTOIDPS_FUZZ=200000 pytest -o timeout=0 tests/agents/sensor/inputs/test_hostile.py``.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.inputs.events import Options, clean
from agents.sensor.inputs.intake import FromLog, Intake
from agents.sensor.inputs.registry import known_inputs, make_parser
from ontology.fragments import decode, encode

KINDS = ("audit", "cowrie", "dionaea", "eve", "syslog", "wtmp", "zeek")
FORMATS = ("beelzebub", "ciscoasa", "heralding", "opencanary", "tanner")
"""Of the formats in tables those that differ in shape."""
EXAMPLES = int(os.environ.get("ONTOIDPS_FUZZ", "60"))
NOW_US = 1_795_000_000_000_000


def take(kind: str, lines: list[bytes]) -> list[FromLog]:
    intake = Intake(make_parser(kind, Options()), sensor="sensor")
    records = intake.on_lines(lines, "mark", NOW_US)
    counters = intake.counters
    assert counters["refused.fault"] == 0
    understood = counters["rows"] + counters["claims"] + counters["host_events"]
    # Nothing vanishes uncounted (one Cowrie or Dionaea line may give two sightings).
    nothing = sum(counters[name] for name in ("silent", "unrelated", "heading", "refused"))
    assert understood + nothing >= sum(map(bool, lines))
    return records


def test_the_kinds_are_installed() -> None:
    assert set(KINDS + FORMATS) <= set(known_inputs())


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["192.0.2.1", "::1", "2026-11-16T12:11:24Z", "tcp", "accept", 80]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", KINDS + FORMATS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(lines=st.lists(st.binary(max_size=300), max_size=4))
def test_any_bytes(kind: str, lines: list[bytes]) -> None:
    take(kind, lines)


@pytest.mark.parametrize("kind", KINDS + FORMATS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_good_lines_with_lies_in_them(kind: str, lines: Any, data: st.DataObject) -> None:
    """A field of a good line replaced, or bytes of it: what comes out can still be sent."""
    good = list(lines[kind])
    index = data.draw(st.integers(0, len(good) - 1))
    line = good[index]
    if line.startswith("{") and not line.startswith("{'") and data.draw(st.booleans()):
        event = json.loads(line)
        place = event
        inner = [name for name, value in event.items() if isinstance(value, dict) and value]
        if inner and data.draw(st.booleans()):
            place = event[data.draw(st.sampled_from(inner))]
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(values)
        changed = json.dumps(event).encode()
    else:
        raw = bytearray(line.encode())
        begin = data.draw(st.integers(0, len(raw) - 1))
        end = data.draw(st.integers(begin, min(begin + 20, len(raw))))
        raw[begin:end] = data.draw(st.binary(max_size=20))
        changed = bytes(raw).replace(b"\n", b" ")
    raw_lines = [entry.encode() for entry in good]
    raw_lines[index] = changed
    records = take(kind, raw_lines)
    for record in records:
        # The codec is the narrow door: addresses, times, lone surrogates, control characters.
        assert decode(encode([record])) == (record,)


HOSTILE = (
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"timestamp":' + b"9" * 5000 + b"}",
    b'{"eventid":"cowrie.login.success","username":"\\ud800\\u0000","src_ip":"192.0.2.1"}',
    b'{"event_type":"alert","event_type":7}',
    b"\x00" * 1000,
    b"\xff\xfe{\x00}\x00",
    b'{"ts":NaN,"id.orig_h":"::1","conn_state":"SF"}',
    b"#fields\t" + b"\t".join(b"x" for _ in range(100_000)),
    b"#separator " + b"\\x" * 10_000,
    b"IN=" * 50_000,
)


@pytest.mark.parametrize("kind", KINDS + FORMATS)
def test_known_tricks(kind: str) -> None:
    assert take(kind, list(HOSTILE)) == []


@pytest.mark.parametrize("kind", ["cowrie", "dionaea", "eve"])
def test_one_bad_byte_hides_nothing(kind: str, lines: Any) -> None:
    """An attacker who gets a broken character or a control character into a line is seen."""
    good = [line.encode() for line in lines[kind]]
    expected = sum(len(getattr(r, "connections", [1])) for r in take(kind, good))
    names = {"cowrie": b'"wget', "eve": b"ET WEB", "dionaea": b'"src_hostname":"'}
    broken = [line.replace(names[kind], names[kind] + b"\xff\x01") for line in good]
    assert broken != good
    assert sum(len(getattr(r, "connections", [1])) for r in take(kind, broken)) == expected


def test_remembering_nonsense_is_a_plain_error() -> None:
    rng = random.Random(7)
    for kind in KINDS + FORMATS:
        for text in ('{"a":1}', "[1]", '[null,{"x":[1]}]', "\x00", str(rng.random()), '["a"]'):
            try:
                make_parser(kind, Options()).remember(text)
            except (ValueError, TypeError, AttributeError):
                pass


@given(st.text())
def test_clean_text_is_printable_and_short(text: str) -> None:
    shown = clean(text, 50)
    assert all(c.isprintable() for c in shown)
    shown.encode("utf-8")
