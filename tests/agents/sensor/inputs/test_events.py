"""Fields of logs that an attacker may have written: understood, or refused with a reason."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.inputs.events import (
    STATE,
    LineRefused,
    clean,
    digits,
    host,
    iso_us,
    json_object,
    pack_row,
    port,
    protocol,
    seconds_us,
    tcp_state,
)
from ontology.records import CONNECTION, MAX_TIME_US
from tests.factories import FLAGS


def refused(reason: str, read: Any, *arguments: Any) -> None:
    with pytest.raises(LineRefused) as error:
        read(*arguments)
    assert error.value.reason == reason


def test_addresses() -> None:
    assert host("::ffff:192.0.2.1") == host("192.0.2.1")
    assert host("2001:db8::1").version == 6
    assert host("fe80::1%eth0") == host("fe80::1%25") == host("fe80::1")
    for bad in ("", "192.0.2", "%eth0", "1" * 63, 5, None, ["192.0.2.1"]):
        refused("address", host, bad)


def test_numbers() -> None:
    assert (port(None), port(65535), digits("0080", 99)) == (0, 65535, 80)
    for bad in (65536, -1, True, 1.0, "80"):
        refused("port", port, bad)
    for text in ("", "-1", "1e3", "²", "100", "1" * 21):
        refused("number", digits, text, 99)
    assert (protocol("TCP"), protocol("89")) == (6, 89)
    assert (protocol("254"), protocol(6), protocol("OSPFIGP")) == (254, 6, 89)
    for bad in ("256", "tcpp", "", -1, True, 256, 6.0):
        refused("protocol", protocol, bad)


def test_times() -> None:
    assert iso_us("1970-01-01T00:00:01.5Z") == iso_us("1970-01-01T01:00:01.5+01:00") == 1_500_000
    assert iso_us("1970-01-01T02:00:00", timezone(timedelta(hours=2))) == 0
    assert seconds_us(1.5) == 1_500_000
    for bad in ("1969-12-31T23:59:59", "yesterday and so on", "0001-01-01T00:00:00+14:00", 5):
        refused("time", iso_us, bad)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-16T12:11:24.123456",
        "2026-11-16 12:11:59.999999+0530",
        "2026-11-16T12:11:24.123456789Z",
        "2026-11-16T12:11:24,123456Z",
        "2026-W47-1T12:11:24.123456-01:00",
        "9999-12-31T23:59:59.999999Z",
        "2026-11-16T12:11:60.000000Z",
        "2026-11-16T12:11:24.1234",
        "2026-11-16T12:11:24.12345٣",
        "2026-10-25T02:30:00.000001",
        "1970-01-01T00:00:00.000000+00:01",
    ],
)
def test_a_minute_that_is_known_gives_the_same_time(text: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    try:
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=zone)
        wanted = (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except ValueError:
        wanted = -1
    for _ in range(2):
        if 0 <= wanted <= MAX_TIME_US:
            assert iso_us(text, zone) == wanted
        else:
            refused("time", iso_us, text, zone)


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 18446744073709551616, "b": -0.0, "a": 5e-324}',
        rb'{"a": "\ud800 \ud83d\ude00 \u0000", "b": NaN}',
        b'\xef\xbb\xbf{"a": "\xff \x00 \t"}',
        b' {"a": 1e400} ',
        b'{"a": [1,]}',
        b'{"a": 1}x',
        b'{"a": 01}',
        b"[" * 5000,
        b'{"a":' * 5000,
        b"[1]",
        b"1" * 5000,
    ],
)
def test_json_is_what_the_standard_library_says(line: bytes) -> None:
    try:
        wanted = json.JSONDecoder(strict=False).decode(
            line.decode("utf-8", "replace").strip("\ufeff")
        )
    except (ValueError, RecursionError):
        wanted = None
    if type(wanted) is dict:
        assert repr(json_object(line)) == repr(wanted)
    else:
        refused("json", json_object, line)
    for number in (float("nan"), float("inf"), -1, True, MAX_TIME_US):
        refused("time", seconds_us, number)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(line: bytes) -> None:
    try:
        assert isinstance(json_object(line), dict)
    except LineRefused as e:
        assert e.reason == "json"


def test_deep_json_is_refused() -> None:
    refused("json", json_object, b"[" * 200_000)


@given(st.text(max_size=300))
def test_strangers_text_is_short_and_printable(text: str) -> None:
    shown = clean(text, 20)
    assert shown.isprintable() and len(shown) <= 20 * 10
    assert "\n" not in shown and "\x1b" not in shown


@pytest.mark.parametrize(
    ("orig", "resp", "state"),
    [
        ("S", "", "S0"), ("S", "R", "REJ"), ("SA", "SA", "S1"), ("SAF", "SAF", "SF"),
        ("SAR", "SA", "RSTO"), ("SA", "SAR", "RSTR"), ("SF", "", "SH"), ("A", "A", "OTH"),
    ],
)  # fmt: skip
def test_states_of_connections(orig: str, resp: str, state: str) -> None:
    flags = [sum(FLAGS[letter] for letter in side) for side in (orig, resp)]
    assert tcp_state(*flags) == STATE[state]


def test_a_packed_row_is_a_connection() -> None:
    packed = pack_row(
        at_us=5, source=host("192.0.2.1"), target=host("192.0.2.2"), protocol=6,
        state=STATE["SF"], duration_us=7, ports=(1, 2), flags=(3, 4), packets=(5, 6),
        size=(7, 8), logins=(9, 10), indicators=11,
    )  # fmt: skip
    row = np.frombuffer(packed, CONNECTION)[0]
    names = ("start_us", "duration_us", "src_port", "dst_port", "orig_packets", "resp_packets")
    assert [int(row[name]) for name in names] == [5, 7, 1, 2, 5, 6]
    names = ("orig_bytes", "resp_bytes", "failed_logins", "login_attempts", "indicators")
    assert [int(row[name]) for name in names] == [7, 8, 9, 10, 11]
    refused("address", lambda: pack_row(
        at_us=5, source=host("192.0.2.1"), target=host("2001:db8::1"), protocol=6, state=0
    ))  # fmt: skip
